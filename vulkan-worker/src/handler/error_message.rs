use std::error::Error;
use std::fmt::{self, Write};
use std::iter;

/// See [`HandlerError::MAX_MESSAGE_LEN`](super::HandlerError::MAX_MESSAGE_LEN).
pub(crate) const MAX_MESSAGE_LEN: usize = 4096;

/// How many sources are followed. No honest chain is longer, and a dishonest one may be endless.
pub(super) const MAX_DEPTH: usize = 64;

/// The error and its sources as one line.
pub(super) fn of(error: &(dyn Error + 'static), max_len: usize) -> String {
    let mut message = Capped::new(max_len);
    for error in iter::successors(Some(error), |&error| error.source()).take(MAX_DEPTH) {
        let mut level = Capped::new(max_len);
        // An error of formatting means that the level is full or its `Display` gave up;
        // what has been written is worth showing in both cases.
        let _ = write!(level, "{error}");
        // Many errors print their source themselves.
        if message.text.contains(&level.text) {
            continue;
        }
        let separator = if message.text.is_empty() { "" } else { ": " };
        if write!(message, "{separator}{}", level.text).is_err() {
            break;
        }
    }
    message.text
}

/// A text cut to the length of a message, NUL replaced.
pub(crate) fn cut(text: &str) -> String {
    let mut message = Capped::new(MAX_MESSAGE_LEN);
    // An error means that it is full.
    let _ = message.write_str(text);
    message.text
}

/// A text that stops growing at a length and holds no NUL.
struct Capped {
    text: String,
    max_len: usize,
}

impl Capped {
    fn new(max_len: usize) -> Self {
        Self {
            text: String::new(),
            max_len,
        }
    }
}

impl Write for Capped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let c = if c == '\0' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            };
            if self.text.len() + c.len_utf8() > self.max_len {
                return Err(fmt::Error);
            }
            self.text.push(c);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Level(String, Option<Box<Self>>);

    impl fmt::Display for Level {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl Error for Level {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|level| level as _)
        }
    }

    fn message(levels: &[&str]) -> String {
        let chain = levels.iter().rev().fold(None, |source, text| {
            Some(Box::new(Level((*text).to_owned(), source)))
        });
        of(&*chain.unwrap(), MAX_MESSAGE_LEN)
    }

    #[test]
    fn joins_the_chain() {
        let long = "é".repeat(3000);
        let table = [
            (&["a", "b", "c"][..], "a: b: c"),
            (&["a"], "a"),
            (
                &["screen: bank: timeout", "bank: timeout", "timeout"],
                "screen: bank: timeout",
            ),
            (&["outer", "", "inner"], "outer: inner"),
            (&["a\0b"], "a\u{fffd}b"),
            (&[""], ""),
            (&[&long], &long[..MAX_MESSAGE_LEN]),
            (
                &["x", &long],
                &format!("x: {}", &long[..MAX_MESSAGE_LEN - 4]),
            ),
        ];
        for (levels, expected) in table {
            assert_eq!(message(levels), expected);
        }
    }

    #[test]
    fn an_endless_chain_ends() {
        #[derive(Debug)]
        struct Endless;

        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("again")
            }
        }

        impl Error for Endless {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&Self)
            }
        }

        assert_eq!(of(&Endless, MAX_MESSAGE_LEN), "again");
    }
}
