use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::PART;
use crate::error::Error;
use crate::publish::message::Message;

/// What a binary COPY begins with: its signature, no flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// 2000-01-01, from which Postgres counts, in microseconds from 1970-01-01.
const EPOCH: i64 = 946_684_800_000_000;
/// The columns of `queries/load.sql`.
const COLUMNS: i16 = 5;
const NULL: i32 = -1;
/// What stands before the text of a jsonb.
const JSONB: &[u8] = &[1];

/// Rows as a binary COPY has them. Nothing needs to be escaped, and Postgres has nothing to search for.
#[derive(Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    /// When the load began, as Postgres counts.
    began: i64,
}

/// Leaves out the rows, which may hold what no log should.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("bytes", &self.bytes.len())
            .field("began", &self.began)
            .finish()
    }
}

impl Rows {
    pub(super) fn at(began: DateTime<Utc>) -> Self {
        Self {
            bytes: Vec::new(),
            began: micros(began),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        // The last row reaches a little beyond.
        std::mem::replace(&mut self.bytes, Vec::with_capacity(PART + PART / 8))
    }

    /// Appends a row, or nothing of it.
    pub(super) fn push(&mut self, message: &Message) -> Result<(), Error> {
        let before = self.bytes.len();
        let pushed = self.row(message);
        if pushed.is_err() {
            self.bytes.truncate(before);
        }
        pushed
    }

    fn row(&mut self, message: &Message) -> Result<(), Error> {
        let deliver_at = match message.delay {
            Some(delay) => Some(self.after(delay, &message.kind)?),
            None => message.deliver_at.map(micros),
        };
        self.bytes.extend(COLUMNS.to_be_bytes());
        self.field(message, deliver_at, |bytes, at| {
            bytes.extend(at.to_be_bytes());
            Ok(())
        })?;
        self.text(message, Some(&message.kind))?;
        self.text(message, message.key.as_deref())?;
        self.field(message, Some(message.payload.get()), |bytes, json| {
            bytes.extend(JSONB);
            bytes.extend(json.as_bytes());
            Ok(())
        })?;
        self.field(message, message.headers.as_ref(), |bytes, headers| {
            bytes.extend(JSONB);
            headers.serialize(&mut serde_json::Serializer::new(bytes))
        })
    }

    fn text(&mut self, message: &Message, text: Option<&str>) -> Result<(), Error> {
        self.field(message, text, |bytes, text| {
            bytes.extend(text.as_bytes());
            Ok(())
        })
    }

    /// A field, and its length before it.
    fn field<T>(
        &mut self,
        message: &Message,
        value: Option<T>,
        write: impl FnOnce(&mut Vec<u8>, T) -> serde_json::Result<()>,
    ) -> Result<(), Error> {
        let length_at = self.bytes.len();
        self.bytes.extend(NULL.to_be_bytes());
        let Some(value) = value else {
            return Ok(());
        };
        let begin = self.bytes.len();
        write(&mut self.bytes, value).map_err(|source| Error::Encode {
            kind: message.kind.clone(),
            source,
        })?;
        let length = i32::try_from(self.bytes.len() - begin).map_err(|_| {
            Error::invalid(
                format!("a {:?} event has more than 2 GB", message.kind),
                "store it elsewhere, and publish where it is",
            )
        })?;
        self.bytes[length_at..begin].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// So long after the load began. The greatest number there is would mean never.
    fn after(&self, delay: Duration, kind: &str) -> Result<i64, Error> {
        let micros = i64::try_from(delay.as_micros()).ok();
        let at = micros.and_then(|micros| self.began.checked_add(micros));
        at.filter(|at| *at < i64::MAX).ok_or_else(|| {
            Error::invalid(
                format!("the delay of a {kind:?} event ends when no time can be written"),
                "give a shorter one",
            )
        })
    }
}

fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros() - EPOCH
}
