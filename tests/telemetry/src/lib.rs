//! The tests of traces are a crate of their own: only this one asks for the feature `telemetry`. Without it in the build,
//! nothing of the feature is compiled.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/tracing.md")]
mod tracing_guide {}
