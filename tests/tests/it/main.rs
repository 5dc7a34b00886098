//! Tests of Vulkan as a whole. Each test has a database of its own, and none waits by the clock.

/// The Rust client, as a program uses it.
mod client;

/// The SQL: what every client stands on, tried by SQL alone.
mod engine;

/// The README, block by block.
mod readme;

/// Who may do what, names as data, limits, and secrets that stay secret.
mod security;

/// The worker: what runs handlers, tried through the public crate.
mod worker;

/// Databases, groups and publishers, and time that moves when told to.
mod support;
