use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::super::{TARGET, carrier, error_type, fail};
use super::{Worked, discard, is_written};
use crate::engine::Claimed;
use crate::error::Error;

/// The span of a claim. One that brings nothing comes to nothing: only its end decides.
#[derive(Debug)]
pub struct Claiming {
    span: Span,
    written: bool,
    kept: bool,
}

impl Claiming {
    /// A claim that is about to be made.
    pub fn begin(of: Worked<'_>) -> Self {
        let span = info_span!(
            target: TARGET,
            parent: None,
            "claim",
            otel.name = format!("claim {}", of.stream),
            otel.kind = "client",
            otel.status_code = Empty,
            messaging.system = "vulkan",
            messaging.operation.name = "claim",
            messaging.operation.type = "receive",
            messaging.destination.name = of.stream,
            messaging.consumer.group.name = of.group,
            messaging.client.id = of.worker,
            messaging.batch.message_count = Empty,
            server.address = of.client.server().0,
            server.port = of.client.server().1,
            error.r#type = Empty,
        );
        let written = is_written(&span);
        Self {
            span,
            written,
            kept: false,
        }
    }

    /// Whether traces are written at all.
    pub fn is_written(&self) -> bool {
        self.written
    }

    /// How the claim ended.
    pub fn end(mut self, claimed: &Result<Vec<Claimed>, Error>) {
        if !self.written {
            return;
        }
        match claimed {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => {
                self.kept = true;
                self.span
                    .record("messaging.batch.message_count", batch.len());
                for message in batch {
                    let headers = message.headers.as_deref();
                    if let Some(context) = headers.and_then(carrier::of_json) {
                        self.span.add_link(context);
                    }
                }
            }
            Err(error) => {
                self.kept = true;
                fail(&self.span, &error_type(error));
            }
        }
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        if !self.kept {
            discard(&self.span);
        }
    }
}
