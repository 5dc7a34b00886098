//! The W3C trace context of a message, in its headers `traceparent` and `tracestate`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use serde::Deserialize;
use serde_json::value::RawValue;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

type Headers = Option<BTreeMap<String, String>>;

/// Whether the publisher has put a context there.
pub(super) fn has(headers: &Headers) -> bool {
    headers
        .as_ref()
        .is_some_and(|headers| headers.contains_key(PARENT))
}

/// Puts a context there, if it is one.
pub(super) fn inject(context: &SpanContext, headers: &mut Headers) {
    if !context.is_valid() {
        return;
    }
    let headers = headers.get_or_insert_default();
    headers.insert(
        PARENT.into(),
        format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            (context.trace_flags() & TraceFlags::SAMPLED).to_u8()
        ),
    );
    let state = context.trace_state().header();
    if !state.is_empty() {
        headers.entry(STATE.into()).or_insert(state);
    }
}

/// The context in the headers of a message that is to be published.
pub(super) fn of_message(headers: &Headers) -> Option<SpanContext> {
    let headers = headers.as_ref()?;
    parse(headers.get(PARENT)?, headers.get(STATE).map(String::as_str))
}

/// The context in the headers of a message that was handed out.
pub(super) fn of_json(headers: &RawValue) -> Option<SpanContext> {
    #[derive(Deserialize)]
    struct Carrier<'a> {
        #[serde(borrow)]
        traceparent: Cow<'a, str>,
        #[serde(borrow, default)]
        tracestate: Option<Cow<'a, str>>,
    }
    let carrier: Carrier<'_> = serde_json::from_str(headers.get()).ok()?;
    parse(&carrier.traceparent, carrier.tracestate.as_deref())
}

/// Reads a context. What is no context is none: a trace is never worth an error.
pub(super) fn parse(parent: &str, state: Option<&str>) -> Option<SpanContext> {
    let mut parts = parent.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    // Later versions may append to what this one has.
    let known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !known || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        state
            .and_then(|state| TraceState::from_str(state).ok())
            .unwrap_or_default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT_TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_read_again() {
        for (parent, state, sampled) in [
            (PARENT_TEXT, Some("a=1,b=2"), true),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                None,
                false,
            ),
        ] {
            let context = parse(parent, state).unwrap();
            assert!(context.is_remote());
            assert_eq!(context.is_sampled(), sampled);
            let mut headers = None;
            inject(&context, &mut headers);
            let headers = headers.unwrap();
            assert_eq!(headers["traceparent"], parent);
            assert_eq!(headers.get("tracestate").map(String::as_str), state);
        }
    }

    #[test]
    fn what_is_no_context_is_none() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-é4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        ] {
            assert!(parse(text, None).is_none(), "{text}");
        }
        assert!(
            parse(
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                None
            )
            .is_some()
        );
        let bad_state = parse(PARENT_TEXT, Some("no state")).unwrap();
        assert_eq!(bad_state.trace_state().header(), "");
    }

    #[test]
    fn headers_of_any_json_are_read() {
        let of = |json: &str| of_json(&RawValue::from_string(json.into()).unwrap());
        assert!(of(&format!(r#"{{"a": [1], "traceparent": "{PARENT_TEXT}"}}"#)).is_some());
        for json in ["{}", "null", "[]", r#"{"traceparent": 7}"#] {
            assert!(of(json).is_none(), "{json}");
        }
    }
}
