//! Lines for whoever reads the output.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line. A terminal that was closed and a pipe that nobody reads are no reason to panic, and not to clean up.
///
/// # Errors
///
/// When nobody reads any more.
pub(crate) fn print(line: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// As [`print()`], where it does not matter.
pub(crate) fn say(line: impl Display) {
    let _ = print(line);
}
