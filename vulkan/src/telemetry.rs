//! Traces by OpenTelemetry's conventions, and a set-up that exports them. With the feature `telemetry`.
//!
//! Publishing, claiming, handling and settling are plain `tracing` spans, and a message takes its
//! publisher's trace context along in its headers. A program with a subscriber of its own adds the layer
//! of [`tracing_opentelemetry`], in the version that is re-exported here, and needs nothing of this
//! module; every other one calls [`init`].

mod error;
mod init;
mod logs;

pub use error::InitError;
pub use init::{Telemetry, init};
#[doc(inline)]
pub use vulkan_core::telemetry::{TARGET, TraceOptions};

pub use {opentelemetry, opentelemetry_sdk, tracing_opentelemetry};
