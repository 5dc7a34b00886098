//! The Rust client, as a program uses it.

/// Messages are claimed for who waits for them.
mod claim;
/// Which connections the engine's calls take.
mod connections;

/// What fails says what failed, whether it passes, and what to do.
mod errors;

/// The schema comes into being, and stays what it is.
mod migrate;

/// What operators do: look, redrive, replay, skip, pause, and set up groups.
mod operate;

/// Events go into the log, or do not, but never half.
mod publish;

/// A stream is read, from anywhere, without a gap.
mod read;

/// Of the readers of a group, one is active, and its position is remembered.
mod reader;

/// Recurring events are put, looked at, paused, run and forgotten.
mod schedules;

mod support;
