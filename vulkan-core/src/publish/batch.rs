use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgExecutor;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;

use super::limits::check_batch;
use super::message::Message;
use crate::error::Error;
use crate::interval::interval;

/// A batch of one stream as columns: what `vulkan.publish_many()` takes.
///
/// A column that no message uses stays `None` and costs nothing.
#[derive(Default)]
pub(super) struct Batch<'m> {
    stream: &'m str,
    kinds: Vec<&'m str>,
    payloads: Vec<Json<&'m RawValue>>,
    keys: Column<&'m str>,
    headers: Column<Json<&'m BTreeMap<String, String>>>,
    deliver_ats: Column<DateTime<Utc>>,
    delays: Column<PgInterval>,
    dedup_ids: Column<&'m str>,
    dedup_windows: Column<PgInterval>,
}

impl<'m> Batch<'m> {
    pub(super) fn of(messages: &'m [Message]) -> Result<Self, Error> {
        check_batch(messages)?;
        let mut batch = Self::default();
        for (row, message) in messages.iter().enumerate() {
            message.check()?;
            if row == 0 {
                batch.stream = &message.stream;
            } else if batch.stream != message.stream {
                return Err(Error::MixedStreams {
                    first: batch.stream.to_owned(),
                    other: message.stream.clone(),
                });
            }
            batch.kinds.push(&message.kind);
            batch.payloads.push(Json(&message.payload));
            batch.keys.push(row, message.key.as_deref());
            let headers = message.headers.as_ref();
            batch.headers.push(row, headers.map(Json));
            batch.deliver_ats.push(row, message.deliver_at);
            batch.delays.push(row, message.delay.map(interval));
            batch.dedup_ids.push(row, message.dedup_id.as_deref());
            let window = message.dedup_window.map(interval);
            batch.dedup_windows.push(row, window);
        }
        Ok(batch)
    }

    pub(super) async fn publish<'e>(
        self,
        executor: impl PgExecutor<'e>,
    ) -> Result<Vec<i64>, Error> {
        if self.kinds.is_empty() {
            return Ok(Vec::new());
        }
        Ok(
            sqlx::query_scalar(include_str!("../../queries/publish_many.sql"))
                .bind(self.stream)
                .bind(self.kinds)
                .bind(self.payloads)
                .bind(self.keys.0)
                .bind(self.headers.0)
                .bind(self.deliver_ats.0)
                .bind(self.delays.0)
                .bind(self.dedup_ids.0)
                .bind(self.dedup_windows.0)
                .fetch_all(executor)
                .await?,
        )
    }
}

/// A column that comes into being with its first value.
struct Column<T>(Option<Vec<Option<T>>>);

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Column<T> {
    fn push(&mut self, row: usize, value: Option<T>) {
        if self.0.is_none() && value.is_some() {
            self.0 = Some((0..row).map(|_| None).collect());
        }
        if let Some(values) = &mut self.0 {
            values.push(value);
        }
    }
}
