use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An event as it stands in the log.
#[derive(Clone)]
pub struct LogEvent {
    pub(super) offset: i64,
    pub(super) kind: String,
    pub(super) partition_key: Option<String>,
    pub(super) payload: Box<RawValue>,
    pub(super) headers: Option<Box<RawValue>>,
    pub(super) published_at: DateTime<Utc>,
}

impl LogEvent {
    /// The event's place in the log; unique across streams, and growing.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// What happened, such as `order.placed`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The partition key, if the event has one.
    pub fn key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }

    /// The payload as JSON text.
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// The headers as JSON text, an object.
    pub fn headers(&self) -> Option<&RawValue> {
        self.headers.as_deref()
    }

    /// When the event was published, by the clock of the database.
    pub fn published_at(&self) -> DateTime<Utc> {
        self.published_at
    }

    /// Reads the payload as a `T`.
    ///
    /// # Errors
    ///
    /// If the payload is no `T`.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.payload.get())
    }
}

/// Leaves out the payload, the headers and the key, which may hold what no log should.
impl fmt::Debug for LogEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogEvent")
            .field("offset", &self.offset)
            .field("kind", &self.kind)
            .field("published_at", &self.published_at)
            .finish_non_exhaustive()
    }
}
