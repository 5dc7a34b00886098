use crate::error::{NameError, Problem, Subject};
use crate::kind::{check_length, check_segment, segments};

/// Checks a pattern over kinds, such as `order.*.paid` or `order.>`.
///
/// A pattern is a [kind](crate::check_kind) in which a whole segment may also be
/// `*`, exactly one segment of any text, or `>`, one or more remaining segments.
/// A `>` comes last; alone it matches every kind.
///
/// # Errors
///
/// The first rule that `pattern` breaks.
///
/// # Examples
///
/// ```
/// use vulkan_names::check_pattern;
///
/// assert!(check_pattern("order.*.paid").is_ok());
/// assert!(check_pattern(">").is_ok());
/// assert!(check_pattern("order.>.paid").is_err());
/// assert!(check_pattern("order.pa*").is_err());
/// ```
pub fn check_pattern(pattern: &str) -> Result<(), NameError> {
    let fail = |problem| Err(NameError::new(Subject::Pattern, pattern, problem));
    if let Err(problem) = check_length(pattern) {
        return fail(problem);
    }
    let mut tail = None;
    for (start, segment) in segments(pattern) {
        if let Some(at) = tail {
            return fail(Problem::Tail { at });
        }
        let checked = match segment {
            "*" => Ok(()),
            ">" => {
                tail = Some(start);
                Ok(())
            }
            _ => match segment.char_indices().find(|(_, c)| matches!(c, '*' | '>')) {
                Some((at, found)) => Err(Problem::Wildcard {
                    found,
                    at: start + at,
                }),
                None => check_segment(start, segment),
            },
        };
        if let Err(problem) = checked {
            return fail(problem);
        }
    }
    Ok(())
}

/// Whether `kind` is one of those that `pattern` stands for.
///
/// Both are taken as valid; of texts that are not, no promise is made but that this returns.
///
/// # Examples
///
/// ```
/// use vulkan_names::pattern_matches;
///
/// assert!(pattern_matches("order.placed", "order.placed"));
/// assert!(pattern_matches("order.*", "order.placed"));
/// assert!(!pattern_matches("order.*", "order.placed.late"));
/// assert!(pattern_matches("order.>", "order.placed.late"));
/// assert!(!pattern_matches("order.>", "order"));
/// ```
pub fn pattern_matches(pattern: &str, kind: &str) -> bool {
    let mut kind = kind.split('.');
    for wanted in pattern.split('.') {
        match (wanted, kind.next()) {
            (_, None) => return false,
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
    kind.next().is_none()
}

/// Whether every kind that `narrow` stands for is one that `wide` stands for, too.
///
/// Both are taken as valid.
///
/// # Examples
///
/// ```
/// use vulkan_names::pattern_covers;
///
/// assert!(pattern_covers(">", "order.*"));
/// assert!(pattern_covers("order.*", "order.placed"));
/// assert!(!pattern_covers("order.*", "order.>"));
/// assert!(!pattern_covers("order.placed", "order.*"));
/// ```
pub fn pattern_covers(wide: &str, narrow: &str) -> bool {
    let mut narrow = narrow.split('.');
    for wanted in wide.split('.') {
        match (wanted, narrow.next()) {
            (_, None) | ("*", Some(">")) => return false,
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
    narrow.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        for pattern in [">", "*", "*.*", "order.*.paid", "order.>", "*.>", "a.b"] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn rejects() {
        let table = [
            ("", Problem::Empty),
            (">.a", Problem::Tail { at: 0 }),
            ("a.>.>", Problem::Tail { at: 2 }),
            ("a.>.", Problem::Tail { at: 2 }),
            ("a.b*", Problem::Wildcard { found: '*', at: 3 }),
            ("**", Problem::Wildcard { found: '*', at: 0 }),
            ("a>", Problem::Wildcard { found: '>', at: 1 }),
            ("a..*", Problem::EmptySegment { at: 2 }),
            ("a.?", Problem::Character { found: '?', at: 2 }),
        ];
        for (pattern, problem) in table {
            let error = check_pattern(pattern).unwrap_err();
            assert_eq!(error.problem(), problem, "{pattern}");
        }
    }

    #[test]
    fn matches() {
        let table = [
            (">", "a", true),
            (">", "a.b.c", true),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a", "a", true),
            ("a", "A", false),
            ("a", "ab", false),
            ("a.b", "a", false),
            ("a", "a.b", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b.b.c", false),
            ("a.>", "a", false),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("*.>", "a", false),
            ("*.>", "a.b", true),
        ];
        for (pattern, kind, expected) in table {
            assert_eq!(pattern_matches(pattern, kind), expected, "{pattern} {kind}");
        }
    }
}
