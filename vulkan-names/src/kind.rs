use crate::error::{NameError, Problem, Subject};

/// The longest kind or pattern, in bytes.
pub const MAX_KIND_LEN: usize = 256;

/// Checks the kind of an event, such as `order.placed`.
///
/// A kind is 1 to 256 bytes: segments of `A-Z`, `a-z`, `0-9`, `_` and `-`, joined by single dots.
/// Handlers select kinds segment by segment, see [`check_pattern`](crate::check_pattern).
///
/// # Errors
///
/// The first rule that `kind` breaks.
///
/// # Examples
///
/// ```
/// use vulkan_names::check_kind;
///
/// assert!(check_kind("order.placed").is_ok());
/// assert!(check_kind("OrderPlaced").is_ok());
/// assert!(check_kind("order..placed").is_err());
/// assert!(check_kind("order.*").is_err());
/// ```
pub fn check_kind(kind: &str) -> Result<(), NameError> {
    let fail = |problem| Err(NameError::new(Subject::Kind, kind, problem));
    if let Err(problem) = check_length(kind) {
        return fail(problem);
    }
    for (start, segment) in segments(kind) {
        if let Err(problem) = check_segment(start, segment) {
            return fail(problem);
        }
    }
    Ok(())
}

pub(crate) fn check_length(text: &str) -> Result<(), Problem> {
    match text.len() {
        0 => Err(Problem::Empty),
        len if len > MAX_KIND_LEN => Err(Problem::TooLong {
            len,
            max: MAX_KIND_LEN,
        }),
        _ => Ok(()),
    }
}

/// Splits at the dots and says at which byte each segment begins.
pub(crate) fn segments(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split('.').map(move |segment| {
        let at = start;
        start += segment.len() + 1;
        (at, segment)
    })
}

pub(crate) fn check_segment(start: usize, segment: &str) -> Result<(), Problem> {
    if segment.is_empty() {
        return Err(Problem::EmptySegment { at: start });
    }
    match segment.char_indices().find(|&(_, c)| !is_kind_char(c)) {
        Some((at, found)) => Err(Problem::Character {
            found,
            at: start + at,
        }),
        None => Ok(()),
    }
}

fn is_kind_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        let longest = "k".repeat(MAX_KIND_LEN);
        for kind in ["a", "OrderPlaced", "order.placed", "a-b.c_d.1", &longest] {
            assert_eq!(check_kind(kind), Ok(()), "{kind}");
        }
    }

    #[test]
    fn rejects() {
        let too_long = "k".repeat(MAX_KIND_LEN + 1);
        let table = [
            ("", Problem::Empty),
            (".", Problem::EmptySegment { at: 0 }),
            ("order.", Problem::EmptySegment { at: 6 }),
            (".order", Problem::EmptySegment { at: 0 }),
            ("order..placed", Problem::EmptySegment { at: 6 }),
            ("order placed", Problem::Character { found: ' ', at: 5 }),
            ("order.*", Problem::Character { found: '*', at: 6 }),
            (">", Problem::Character { found: '>', at: 0 }),
            ("a.é", Problem::Character { found: 'é', at: 2 }),
            (&too_long, Problem::TooLong { len: 257, max: 256 }),
        ];
        for (kind, problem) in table {
            assert_eq!(check_kind(kind).unwrap_err().problem(), problem, "{kind}");
        }
    }
}
