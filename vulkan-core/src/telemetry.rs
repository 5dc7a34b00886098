//! Traces by OpenTelemetry's conventions for messaging, as plain `tracing` spans.
//!
//! The only module that knows of OpenTelemetry. Whoever installs a subscriber with the layer of
//! `tracing-opentelemetry` gets them; without one a span costs a look at a flag.

mod carrier;
mod load;
mod options;
mod publish;
mod traced;
mod work;

use std::borrow::Cow;

pub(crate) use load::Loading;
pub use options::TraceOptions;
pub(crate) use publish::Publishing;
pub(crate) use traced::Traced;
pub use work::{Claiming, Processing, Settling, Shown, Worked};

use crate::error::Error;

/// What a subscriber's filter knows the spans by.
pub const TARGET: &str = "vulkan";

/// The `error.type` of a call: an SQLSTATE where there is one, else a word for the kind of error.
fn error_type(error: &Error) -> Cow<'static, str> {
    match error {
        Error::UnknownStream(_) => "VK001".into(),
        Error::UnknownGroup(_) => "VK002".into(),
        Error::Invalid(_) => "VK003".into(),
        Error::Unsafe(_) => "VK004".into(),
        Error::NoMessage(_) => "VK005".into(),
        Error::Superseded(_) => "VK006".into(),
        Error::Stale(_) => "VK007".into(),
        Error::UnknownSchedule(_) => "VK008".into(),
        Error::UnknownWorker(_) => "VK009".into(),
        Error::BeyondLog(_) => "VK010".into(),
        Error::Batch(error) => error_type(error),
        Error::Database(sqlx::Error::Database(error)) => match error.code() {
            Some(code) => code.into_owned().into(),
            None => "database".into(),
        },
        Error::Database(sqlx::Error::PoolTimedOut) => "pool_timeout".into(),
        Error::Database(sqlx::Error::Io(_) | sqlx::Error::Tls(_)) => "connection".into(),
        Error::Database(_) => "database".into(),
        _ => "_OTHER".into(),
    }
}

/// Whether headers hold a context that can be read.
pub(crate) fn has_context(headers: &serde_json::value::RawValue) -> bool {
    carrier::of_json(headers).is_some()
}

/// Ends a span badly.
fn fail(span: &tracing::Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}
