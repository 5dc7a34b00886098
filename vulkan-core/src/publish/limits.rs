//! What an event and a batch may have at most: told here before anything is sent, and again by the database.

use crate::error::Error;
use crate::publish::message::Message;

/// The most bytes of a payload, as JSON text: no `vulkan.meta.max_payload` is higher. What stands there the database knows.
const MAX_PAYLOAD: usize = 64 * 1024 * 1024;
/// How many arrays and objects may stand one within the other: as many as `serde_json` reads.
const MAX_DEPTH: usize = 127;
/// The most headers of an event.
const MAX_HEADERS: usize = 64;
/// The most bytes of its headers, as JSON text.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// The most bytes of a partition key.
const MAX_KEY: usize = 1024;
/// The most bytes of payload and headers in a batch of more than one event.
const MAX_BATCH: usize = 16 * 1024 * 1024;

/// Checks the sizes of an event.
pub(super) fn check(message: &Message) -> Result<(), Error> {
    let kind = &message.kind;
    let payload = message.payload.get();
    let bytes = payload.len();
    if bytes > MAX_PAYLOAD {
        return Err(Error::invalid(
            format!("the payload of a {kind:?} event has {bytes} bytes, more than {MAX_PAYLOAD}"),
            "store it elsewhere, and publish where it is",
        ));
    }
    if is_deep(payload) {
        return Err(Error::invalid(
            format!(
                "the payload of a {kind:?} event is nested too deeply: more than {MAX_DEPTH} arrays and objects stand one within the other"
            ),
            "publish JSON that is nested less deeply",
        ));
    }
    let headers = message.headers.as_ref().map_or(0, |headers| headers.len());
    if headers > MAX_HEADERS {
        return Err(Error::invalid(
            format!("a {kind:?} event has {headers} headers, more than {MAX_HEADERS}"),
            "put into the payload what is no header",
        ));
    }
    let bytes = header_bytes(message);
    if bytes > MAX_HEADER_BYTES {
        return Err(Error::invalid(
            format!(
                "the headers of a {kind:?} event have {bytes} bytes, more than {MAX_HEADER_BYTES}"
            ),
            "put into the payload what is no header",
        ));
    }
    let key = message.key.as_ref().map_or(0, String::len);
    if key > MAX_KEY {
        return Err(Error::invalid(
            format!("the partition key of a {kind:?} event has {key} bytes, more than {MAX_KEY}"),
            "use a shorter one, or a hash of it",
        ));
    }
    Ok(())
}

/// Checks the size of a batch.
pub(super) fn check_batch(messages: &[Message]) -> Result<(), Error> {
    let bytes = messages
        .iter()
        .map(|message| message.payload.get().len() + header_bytes(message));
    let bytes: usize = bytes.sum();
    if messages.len() > 1 && bytes > MAX_BATCH {
        return Err(Error::invalid(
            format!(
                "a batch of {} events has {bytes} bytes of payload and headers, more than {MAX_BATCH}",
                messages.len()
            ),
            "publish several batches, or load them with Client::load",
        ));
    }
    Ok(())
}

/// How long the headers are as JSON without blanks.
fn header_bytes(message: &Message) -> usize {
    let Some(headers) = &message.headers else {
        return 0;
    };
    let each = headers.iter();
    // Two braces; a colon, and a comma but for the last.
    let texts: usize = each
        .map(|(name, value)| quoted(name) + quoted(value) + 2)
        .sum();
    1 + texts + usize::from(headers.is_empty())
}

/// How long a text is as JSON.
fn quoted(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..0x20 => 5,
        _ => 0,
    });
    text.len() + 2 + escapes.sum::<usize>()
}

/// Whether too many arrays and objects stand one within the other.
fn is_deep(json: &str) -> bool {
    // Too short for as many brackets.
    if json.len() < 2 * MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::value::RawValue;

    use super::*;

    fn message() -> Message {
        Message::new("s", "k", &1).unwrap()
    }

    fn raw(json: String) -> Message {
        Message::new("s", "k", &RawValue::from_string(json).unwrap()).unwrap()
    }

    #[test]
    fn each_limit_is_where_it_is_said_to_be() {
        let nested = |depth: usize| raw(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        let many = |n: usize| (0..n).fold(message(), |m, n| m.header(n.to_string(), ""));
        // {"a":"…"}
        let large = |bytes: usize| message().header("a", "x".repeat(bytes - 8));
        let long = |bytes: usize| raw(format!("\"{}\"", "x".repeat(bytes - 2)));
        for (good, bad, words) in [
            (long(MAX_PAYLOAD), long(MAX_PAYLOAD + 1), "67108865 bytes"),
            (nested(127), nested(128), "nested too deeply"),
            (many(64), many(65), "65 headers"),
            (large(16_384), large(16_385), "16385 bytes"),
            (
                message().key("k".repeat(1024)),
                message().key("k".repeat(1025)),
                "1025 bytes",
            ),
        ] {
            check(&good).unwrap();
            let error = check(&bad).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let half = |more: usize| raw(format!("\"{}\"", "x".repeat(MAX_BATCH / 2 - 2 + more)));
        check_batch(&[half(0), half(0)]).unwrap();
        let error = check_batch(&[half(0), half(1)]).unwrap_err().to_string();
        assert!(error.contains("16777217 bytes"), "{error}");
        check_batch(&[half(MAX_BATCH)]).unwrap();
    }

    #[test]
    fn brackets_in_texts_are_no_nesting() {
        let text = |inner: &str| raw(format!(r#"["{}"]"#, inner.repeat(200)));
        check(&text("[")).unwrap();
        check(&text(r#"\"["#)).unwrap();
        check(&text(r"\\[")).unwrap();
        check(&raw(format!("[{}]", vec!["[]"; 500].join(",")))).unwrap();
    }

    #[test]
    fn headers_are_as_long_as_their_json() {
        assert_eq!(header_bytes(&message()), 0);
        let mut none = message();
        none.headers = Some(BTreeMap::new());
        let plain = message().header("a", "b");
        let escaped = message()
            .header("a", "\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}ä/")
            .header("", "");
        for message in [none, plain, escaped] {
            let json = serde_json::to_string(&message.headers).unwrap();
            assert_eq!(header_bytes(&message), json.len(), "{json}");
        }
    }
}
