//! Panics that say where the test asked.

use std::error::Error;
use std::fmt::{self, Display};
use std::panic::Location;

/// The line of the test. An async function could not know it.
pub(crate) type Caller = &'static Location<'static>;

/// Fails the test.
pub(crate) fn fail(at: Caller, text: impl Display) -> ! {
    panic!("{text}\n  asked at {at}")
}

/// A value that a test cannot go on without.
pub(crate) trait OrFail<T> {
    /// The value, or a failed test that says what for.
    fn or_fail(self, at: Caller, what: impl Display) -> T;
}

impl<T, E: Error> OrFail<T> for Result<T, E> {
    fn or_fail(self, at: Caller, what: impl Display) -> T {
        match self {
            Ok(value) => value,
            Err(error) => fail(at, format_args!("{what}: {}", Chain(&error))),
        }
    }
}

/// An error with its sources.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Many errors repeat their source.
            if !line.contains(&text) {
                line = format!("{line}: {text}");
            }
            source = error.source();
        }
        f.write_str(&line)
    }
}
