//! A span as the tests look at it.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as proto;

#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: proto::span::SpanKind,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    /// Empty of a root.
    pub(crate) parent: Vec<u8>,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Trace and span.
    pub(crate) links: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) failed: bool,
    pub(crate) events: usize,
}

impl Span {
    pub(crate) fn new(span: proto::Span, service: &[KeyValue]) -> Self {
        let kind = span.kind();
        let failed = span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == proto::status::StatusCode::Error);
        Self {
            service: texts(service)["service.name"].clone(),
            kind,
            failed,
            name: span.name,
            trace: span.trace_id,
            id: span.span_id,
            parent: span.parent_span_id,
            begin: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: texts(&span.attributes),
            links: span
                .links
                .into_iter()
                .map(|link| (link.trace_id, link.span_id))
                .collect(),
            events: span.events.len(),
        }
    }

    /// What a link to this span is.
    pub(crate) fn as_link(&self) -> (Vec<u8>, Vec<u8>) {
        (self.trace.clone(), self.id.clone())
    }

    pub(crate) fn is_child_of(&self, parent: &Self) -> bool {
        self.trace == parent.trace && self.parent == parent.id
    }

    pub(crate) fn is_root(&self) -> bool {
        self.parent.is_empty()
    }

    pub(crate) fn is(&self, attribute: &str, value: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|is| is == value)
    }

    /// Asserts that it has exactly these attributes; `*` stands for any value.
    #[track_caller]
    pub(crate) fn has_exactly(&self, attributes: &[(&str, &str)]) {
        let names: Vec<&str> = self.attributes.keys().map(String::as_str).collect();
        let mut expected: Vec<&str> = attributes.iter().map(|attribute| attribute.0).collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{}", self.name);
        for (name, value) in attributes {
            assert!(*value == "*" || self.is(name, value), "{name}: {self:#?}");
        }
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let value = match value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), value)
    };
    attributes.iter().map(text).collect()
}
