use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use serde_json::{Map, Value};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::super::{TARGET, carrier, fail};
use super::Worked;

/// The span around a handler.
///
/// A first attempt belongs to the trace of its publisher, and is linked to it, too. A later one, and what was
/// redriven or replayed, begins a trace of its own with a link: hours may lie between. So does a
/// batch, whose messages come from many traces.
#[derive(Debug)]
pub struct Processing(Span);

/// One message, as its span shows it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Its offset.
    pub offset: i64,
    /// Which attempt this is.
    pub attempt: u32,
    /// It was handed out before.
    pub again: bool,
    /// Its partition key.
    pub key: Option<&'a str>,
    /// How long its payload is, in bytes.
    pub size: usize,
    /// Its headers.
    pub headers: &'a Map<String, Value>,
}

impl Processing {
    /// A message that a handler is about to get.
    pub fn one(of: Worked<'_>, message: Shown<'_>) -> Self {
        let span = span(of);
        if span.is_disabled() {
            return Self(span);
        }
        let traces = of.client.traces();
        span.record("messaging.message.id", message.offset.to_string());
        span.record("vulkan.offset", message.offset);
        span.record("vulkan.attempt", message.attempt);
        if let Some(key) = message.key.filter(|_| traces.partition_keys) {
            span.record("vulkan.partition_key", key);
        }
        if traces.body_sizes {
            span.record("messaging.message.body.size", message.size);
        }
        if let Some(creation) = creation(message.headers) {
            let first = message.attempt == 1 && !message.again;
            if first && !traces.links_only {
                let parent = Context::new().with_remote_span_context(creation.clone());
                // It fails where nobody writes traces.
                let _ = span.set_parent(parent);
            }
            span.add_link(creation);
        }
        Self(span)
    }

    /// Messages that a handler is about to get at once.
    pub fn batch<'m>(
        of: Worked<'_>,
        count: usize,
        headers: impl Iterator<Item = &'m Map<String, Value>>,
    ) -> Self {
        let span = span(of);
        if span.is_disabled() {
            return Self(span);
        }
        span.record("messaging.batch.message_count", count);
        for creation in headers.filter_map(creation) {
            span.add_link(creation);
        }
        Self(span)
    }

    /// Runs the handler within the span: what it logs, traces and publishes belongs to it.
    pub async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        call.instrument(self.0.clone()).await
    }

    /// How it ended: well, or with a word for what went wrong.
    pub fn end(self, error_type: Option<&str>) {
        if let Some(error_type) = error_type {
            fail(&self.0, error_type);
        }
    }
}

fn span(of: Worked<'_>) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.name = format!("process {}", of.stream),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "vulkan",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = of.stream,
        messaging.consumer.group.name = of.group,
        messaging.client.id = of.worker,
        messaging.message.id = Empty,
        messaging.message.body.size = Empty,
        messaging.batch.message_count = Empty,
        server.address = of.client.server().0,
        server.port = of.client.server().1,
        vulkan.offset = Empty,
        vulkan.attempt = Empty,
        vulkan.partition_key = Empty,
        error.r#type = Empty,
    )
}

fn creation(headers: &Map<String, Value>) -> Option<SpanContext> {
    let parent = headers.get("traceparent")?.as_str()?;
    carrier::parse(parent, headers.get("tracestate").and_then(Value::as_str))
}
