pub use std::borrow::Cow;

pub use serde::Serialize;

pub use crate::event::{Event, PartitionKey};

/// Whether headers that were handed out hold a trace context. For the fuzz targets.
#[cfg(feature = "telemetry")]
#[must_use]
pub fn reads_trace_context(headers: &serde_json::value::RawValue) -> bool {
    crate::telemetry::has_context(headers)
}

/// What is checked of a message before it is sent. For the fuzz targets.
///
/// # Errors
///
/// As publishing.
pub fn check_message(message: &crate::publish::Message) -> Result<(), crate::error::Error> {
    message.check()
}
