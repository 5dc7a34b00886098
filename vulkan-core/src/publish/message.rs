use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::limits;
use crate::error::Error;
use crate::event::Event;

/// An event about to be published, with everything that can be said of it.
///
/// Most programs publish a `&T` of an [`Event`] and never see this type. It serves plain JSON
/// ([`new`](Self::new)), and events with headers, a delay or a dedup id ([`of`](Self::of)).
///
/// # Examples
///
/// ```
/// use vulkan_core::Message;
///
/// let message = Message::new("orders", "order.placed", &serde_json::json!({"total": 42}))?
///     .key("customer-7")
///     .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
///     .dedup_id("order-1234");
/// assert_eq!(message.payload().get(), r#"{"total":42}"#);
/// # Ok::<(), vulkan_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a message does nothing until it is published"]
pub struct Message {
    pub(crate) stream: String,
    pub(crate) kind: String,
    pub(crate) payload: Box<RawValue>,
    pub(crate) key: Option<String>,
    pub(crate) headers: Option<BTreeMap<String, String>>,
    pub(crate) deliver_at: Option<DateTime<Utc>>,
    /// From the database's clock on, where no time is set.
    pub(crate) delay: Option<Duration>,
    pub(crate) dedup_id: Option<String>,
    pub(crate) dedup_window: Option<Duration>,
}

impl Message {
    /// Anything that serializes, as an event of this stream and kind.
    ///
    /// Names and sizes are checked when the message is published: what is not valid is refused then, with
    /// [`Error::Invalid`]. A payload has up to a mebibyte unless `vulkan.meta.max_payload` says otherwise, and never more
    /// than 64; no more than 127 arrays and objects stand one within the other. Headers are up to 64, of 16 KiB in all as JSON,
    /// and a key or the id of a dedup has up to 1,024 and 512 bytes. Postgres cannot store a NUL
    /// character in a text, JSON or not.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the payload cannot be written as JSON.
    pub fn new<T: Serialize + ?Sized>(
        stream: impl Into<String>,
        kind: impl Into<String>,
        payload: &T,
    ) -> Result<Self, Error> {
        let kind = kind.into();
        let payload = to_raw_value(payload).map_err(|source| Error::Encode {
            kind: kind.clone(),
            source,
        })?;
        Ok(Self {
            stream: stream.into(),
            kind,
            payload,
            key: None,
            headers: None,
            deliver_at: None,
            delay: None,
            dedup_id: None,
            dedup_window: None,
        })
    }

    /// An event of a type, with the stream, kind and key that the type gives it.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the payload cannot be written as JSON.
    pub fn of<E: Event>(event: &E) -> Result<Self, Error> {
        let mut message = Self::new(E::STREAM, E::KIND, event)?;
        message.key = event.partition_key().map(Into::into);
        Ok(message)
    }

    /// Sets the partition key: within a group, messages of one key are handled one at a time, in log order.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header. Names are compared exactly; a name set twice keeps the last value.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers
            .get_or_insert_default()
            .insert(name.into(), value.into());
        self
    }

    /// Hands the message out no earlier than this, by the database's clock.
    ///
    /// A delayed message with a key holds its key's later messages back until then.
    pub fn deliver_at(mut self, time: DateTime<Utc>) -> Self {
        self.deliver_at = Some(time);
        self.delay = None;
        self
    }

    /// Hands the message out no earlier than so long after it was published, by the database's clock:
    /// how this machine's goes does not matter.
    ///
    /// Takes the place of [`deliver_at`](Self::deliver_at), and the other way round.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self.deliver_at = None;
        self
    }

    /// Appends the event only if no event of this stream had the same id within the dedup window
    /// (`vulkan.meta.dedup_window`, an hour unless changed, or [its own](Self::dedup_window)). An id has up
    /// to 512 bytes.
    pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
        self.dedup_id = Some(id.into());
        self
    }

    /// Remembers the dedup id for so long, from now on. What is published again within that time changes
    /// nothing, this window included.
    pub fn dedup_window(mut self, window: Duration) -> Self {
        self.dedup_window = Some(window);
        self
    }

    /// The stream that it goes to.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The payload as JSON text.
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// Refuses what Postgres would refuse, before it aborts the transaction of the caller.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let texts = [
            ("the stream", Some(&self.stream)),
            ("the kind", Some(&self.kind)),
            ("the partition key", self.key.as_ref()),
            ("the dedup id", self.dedup_id.as_ref()),
        ];
        let mut texts = texts
            .into_iter()
            .filter_map(|(place, text)| Some((place, text?)));
        let mut headers = self.headers.iter().flatten();
        let place = if let Some((place, _)) = texts.find(|(_, text)| text.contains('\0')) {
            place
        } else if headers.any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            "a header"
        } else if escapes_nul(self.payload.get()) {
            "the payload"
        } else {
            limits::check(self)?;
            return self.check_dedup();
        };
        Err(Error::invalid(
            format!(
                "{place} of a {:?} event holds a NUL character, which Postgres cannot store",
                self.kind
            ),
            "leave it out, or publish the text as base64",
        ))
    }

    fn check_dedup(&self) -> Result<(), Error> {
        match (&self.dedup_id, self.dedup_window) {
            (Some(id), _) if id.len() > MAX_DEDUP_ID_LEN => Err(Error::invalid(
                format!(
                    "the dedup id of a {:?} event has {} bytes, more than {MAX_DEDUP_ID_LEN}",
                    self.kind,
                    id.len()
                ),
                "use a shorter one, or a hash of it",
            )),
            (Some(_), Some(Duration::ZERO)) => Err(Error::invalid(
                format!("the dedup window of a {:?} event is zero", self.kind),
                "give a window above zero, or none",
            )),
            (None, Some(_)) => Err(Error::invalid(
                format!("a {:?} event has a dedup window and no dedup id", self.kind),
                "give it an id, or no window",
            )),
            _ => Ok(()),
        }
    }
}

/// The longest dedup id, in bytes: as `vulkan.check_dedup()` has it.
const MAX_DEDUP_ID_LEN: usize = 512;

/// Whether a JSON text holds the escape of a NUL character, which is the only way to write one.
fn escapes_nul(json: &str) -> bool {
    json.match_indices(r"\u0000").any(|(at, _)| {
        // After an odd number of backslashes, it is a backslash and five letters.
        let before = json.as_bytes()[..at].iter().rev();
        before.take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

/// Leaves out the payload, the headers and the key, which may hold what no log should.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("stream", &self.stream)
            .field("kind", &self.kind)
            .field("deliver_at", &self.deliver_at)
            .field("delay", &self.delay)
            .field("dedup_id", &self.dedup_id)
            .finish_non_exhaustive()
    }
}

/// What can be published: a [`Message`], or a reference to an [`Event`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be published",
    label = "neither a `Message` nor a reference to an `Event`",
    note = "derive `Event` for the type and publish `&value`, or make a `Message::new(stream, kind, &payload)?`"
)]
pub trait IntoMessage {
    /// Turns into a message.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the payload cannot be written as JSON.
    fn into_message(self) -> Result<Message, Error>;
}

impl IntoMessage for Message {
    fn into_message(self) -> Result<Message, Error> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<E: Event> IntoMessage for &E {
    fn into_message(self) -> Result<Message, Error> {
        Message::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::escapes_nul;

    #[test]
    fn a_nul_is_told_from_a_backslash_before_letters() {
        for (json, nul) in [
            (r#""\u0000""#, true),
            (r#"{"a\u0000":1}"#, true),
            (r#""\\u0000""#, false),
            (r#""\\\u0000""#, true),
            (r#""\\u0000\u0000""#, true),
            (r#""u0000""#, false),
            (r#""\u0001""#, false),
        ] {
            assert_eq!(escapes_nul(json), nul, "{json}");
        }
    }
}
