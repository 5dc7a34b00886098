use crate::error::{NameError, Problem, Subject};

/// The longest name of a stream or group, in bytes.
pub const MAX_NAME_LEN: usize = 128;

/// Checks the name of a stream, a group or a handler.
///
/// A name is 1 to 128 characters from `a-z`, `0-9`, `.`, `_` and `-`,
/// of which the first is a letter or a digit.
/// Upper case is left out so that two names can never differ by case alone.
///
/// # Errors
///
/// The first rule that `name` breaks; `subject` only chooses the words.
///
/// # Examples
///
/// ```
/// use vulkan_names::{Subject, check_name};
///
/// assert!(check_name(Subject::Stream, "orders.eu-west").is_ok());
/// assert!(check_name(Subject::Stream, "").is_err());
/// assert!(check_name(Subject::Group, "-fraud").is_err());
/// ```
pub fn check_name(subject: Subject, name: &str) -> Result<(), NameError> {
    let fail = |problem| Err(NameError::new(subject, name, problem));
    let Some(first) = name.chars().next() else {
        return fail(Problem::Empty);
    };
    if name.len() > MAX_NAME_LEN {
        return fail(Problem::TooLong {
            len: name.len(),
            max: MAX_NAME_LEN,
        });
    }
    if let Some((at, found)) = name.char_indices().find(|&(_, c)| !is_name_char(c)) {
        return fail(Problem::Character { found, at });
    }
    if !first.is_ascii_alphanumeric() {
        return fail(Problem::First { found: first });
    }
    Ok(())
}

fn is_name_char(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        let longest = "a".repeat(MAX_NAME_LEN);
        for name in ["a", "0", "orders", "orders.eu-west_1", "9-lives", &longest] {
            assert_eq!(check_name(Subject::Stream, name), Ok(()), "{name}");
        }
    }

    #[test]
    fn rejects() {
        let too_long = "a".repeat(MAX_NAME_LEN + 1);
        let table = [
            ("", Problem::Empty),
            ("Fraud", Problem::Character { found: 'F', at: 0 }),
            ("or ders", Problem::Character { found: ' ', at: 2 }),
            ("ordérs", Problem::Character { found: 'é', at: 3 }),
            ("a\0", Problem::Character { found: '\0', at: 1 }),
            (".orders", Problem::First { found: '.' }),
            ("-", Problem::First { found: '-' }),
            ("_a", Problem::First { found: '_' }),
            (&too_long, Problem::TooLong { len: 129, max: 128 }),
        ];
        for (name, problem) in table {
            let error = check_name(Subject::Group, name).unwrap_err();
            assert_eq!(error.problem(), problem, "{name}");
            assert!(error.to_string().starts_with("group name"), "{error}");
        }
    }

    #[test]
    fn a_huge_name_is_shortened_in_the_message() {
        let error = check_name(Subject::Stream, &"é".repeat(100_000)).unwrap_err();
        assert!(error.to_string().len() < 500);
    }
}
