//! The tests of traces are a crate of their own: only here is Vulkan built with the feature `telemetry`.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/tracing.md")]
mod tracing_guide {}
