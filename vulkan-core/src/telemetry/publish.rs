use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{carrier, error_type, fail};
use crate::client::Client;
use crate::error::Error;
use crate::publish::Message;

/// The span around a publishing call. Made before the call, since the message takes its context along.
pub(crate) struct Publishing(Span);

impl Publishing {
    /// A single message, which gets the context of this span, unless the publisher has given it one.
    pub(crate) fn one(client: &Client, message: &mut Message) -> Self {
        let own = carrier::has(&message.headers);
        let span = span(
            client,
            &message.stream,
            if own { "client" } else { "producer" },
        );
        if own {
            if let Some(context) = carrier::of_message(&message.headers) {
                span.add_link(context);
            }
        } else {
            carrier::inject(&context(&span), &mut message.headers);
        }
        if client.traces().body_sizes {
            span.record("messaging.message.body.size", message.payload().get().len());
        }
        if let Some(key) = &message.key
            && client.traces().partition_keys
        {
            span.record("vulkan.partition_key", key.as_str());
        }
        Self(span)
    }

    /// A batch. Each message gets a context of its own, to which this span is linked.
    pub(crate) fn many(client: &Client, messages: &mut [Message]) -> Self {
        let Some(stream) = messages.first().map(|first| first.stream.clone()) else {
            return Self(Span::none());
        };
        let each = client.traces().create_spans;
        let publish = span(client, &stream, if each { "client" } else { "producer" });
        publish.record("messaging.batch.message_count", messages.len());
        for message in messages {
            if carrier::has(&message.headers) {
                if let Some(context) = carrier::of_message(&message.headers) {
                    publish.add_link(context);
                }
            } else if each {
                let context = context(&create(client, message));
                carrier::inject(&context, &mut message.headers);
                publish.add_link(context);
            } else {
                carrier::inject(&context(&publish), &mut message.headers);
            }
        }
        Self(publish)
    }

    /// Runs the call within the span.
    pub(crate) async fn around<T>(
        self,
        call: impl Future<Output = Result<T, Error>>,
        offset: impl FnOnce(&T) -> Option<i64>,
    ) -> Result<T, Error> {
        let Self(span) = self;
        let published = call.instrument(span.clone()).await;
        if span.is_disabled() {
            return published;
        }
        match &published {
            Ok(done) => {
                if let Some(offset) = offset(done) {
                    span.record("messaging.message.id", offset.to_string());
                    span.record("vulkan.offset", offset);
                }
            }
            Err(error) => fail(&span, &error_type(error)),
        }
        published
    }
}

pub(super) fn span(client: &Client, stream: &str, kind: &str) -> Span {
    info_span!(
        target: super::TARGET,
        "publish",
        otel.name = format!("publish {stream}"),
        otel.kind = kind,
        otel.status_code = Empty,
        messaging.system = "vulkan",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = stream,
        messaging.message.id = Empty,
        messaging.message.body.size = Empty,
        messaging.batch.message_count = Empty,
        server.address = client.server().0,
        server.port = client.server().1,
        vulkan.offset = Empty,
        vulkan.partition_key = Empty,
        error.r#type = Empty,
    )
}

/// One message of a batch. The span is over at once.
fn create(client: &Client, message: &Message) -> Span {
    let (stream, traces) = (message.stream.as_str(), client.traces());
    info_span!(
        target: super::TARGET,
        "create",
        otel.name = format!("create {stream}"),
        otel.kind = "producer",
        messaging.system = "vulkan",
        messaging.operation.name = "create",
        messaging.operation.type = "create",
        messaging.destination.name = stream,
        messaging.message.body.size = traces.body_sizes.then(|| message.payload().get().len()),
        server.address = client.server().0,
        server.port = client.server().1,
        vulkan.partition_key = message.key.as_deref().filter(|_| traces.partition_keys),
    )
}

/// The context of a span; of one that a filter has left out, that of the span around it.
pub(super) fn context(span: &Span) -> SpanContext {
    let context = if span.is_disabled() {
        Context::current()
    } else {
        span.context()
    };
    context.span().span_context().clone()
}
