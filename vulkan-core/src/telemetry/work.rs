mod claim;
mod process;
mod settle;

pub use claim::Claiming;
pub use process::{Processing, Shown};
pub use settle::Settling;

use opentelemetry::Context;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::client::Client;

/// For what a worker works: what all spans of a group say.
#[derive(Debug, Clone, Copy)]
pub struct Worked<'a> {
    /// The client it works with.
    pub client: &'a Client,
    /// Its name.
    pub worker: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The group.
    pub group: &'a str,
}

/// Whether somebody writes down what this span says.
fn is_written(span: &Span) -> bool {
    !span.is_disabled() && span.set_parent(Context::new()).is_ok()
}

/// Lets a span that has not begun come to nothing.
fn discard(span: &Span) {
    // It fails where there is nothing to discard.
    let _ = span.set_parent(Context::new().with_telemetry_suppressed());
}
