//! Tests of Vulkan as a whole. Each test has a database of its own, and none waits by the clock.

/// The SQL: what every client stands on, tried by SQL alone.
mod engine;

/// The worker: what runs handlers, tried through the public crate.
mod worker;

/// Databases, groups and publishers, and time that moves when told to.
mod support;
