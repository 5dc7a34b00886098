use opentelemetry::trace::SpanContext;
use tracing::Span;

use super::publish::{context, span};
use super::{carrier, error_type, fail};
use crate::client::Client;
use crate::error::Error;
use crate::publish::Message;

/// The span of a load. Its messages take its context along, unless they have one; none of a million
/// gets a span, or a link, of its own.
#[derive(Debug)]
pub(crate) struct Loading {
    span: Span,
    context: SpanContext,
}

impl Loading {
    pub(crate) fn begin(client: &Client, stream: &str) -> Self {
        let span = span(client, stream, "producer");
        let context = context(&span);
        Self { span, context }
    }

    pub(crate) fn take_along(&self, message: &mut Message) {
        if !carrier::has(&message.headers) {
            carrier::inject(&self.context, &mut message.headers);
        }
    }

    pub(crate) fn end(&self, loaded: &Result<u64, Error>) {
        match loaded {
            Ok(count) => {
                self.span.record("messaging.batch.message_count", *count);
            }
            Err(error) => fail(&self.span, &error_type(error)),
        }
    }
}
