use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgExecutor;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;

use super::message::IntoMessage;
use crate::error::Error;
use crate::interval::interval;

/// A batch as columns: what `vulkan.publish_many()` takes.
///
/// A column that no message uses stays `None` and costs nothing.
#[derive(Default)]
pub(super) struct Batch {
    stream: String,
    kinds: Vec<String>,
    payloads: Vec<Json<Box<RawValue>>>,
    keys: Column<String>,
    headers: Column<Json<BTreeMap<String, String>>>,
    deliver_ats: Column<DateTime<Utc>>,
    delays: Column<PgInterval>,
    dedup_ids: Column<String>,
    dedup_windows: Column<PgInterval>,
}

impl Batch {
    pub(super) fn of<M: IntoMessage>(
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Option<Self>, Error> {
        let mut batch = Self::default();
        for (row, message) in messages.into_iter().enumerate() {
            let message = message.into_message()?;
            message.check()?;
            if row == 0 {
                batch.stream = message.stream;
            } else if batch.stream != message.stream {
                return Err(Error::MixedStreams {
                    first: batch.stream,
                    other: message.stream,
                });
            }
            batch.kinds.push(message.kind);
            batch.payloads.push(Json(message.payload));
            batch.keys.push(row, message.key);
            batch.headers.push(row, message.headers.map(Json));
            batch.deliver_ats.push(row, message.deliver_at);
            batch.delays.push(row, message.delay.map(interval));
            batch.dedup_ids.push(row, message.dedup_id);
            let window = message.dedup_window.map(interval);
            batch.dedup_windows.push(row, window);
        }
        Ok((!batch.kinds.is_empty()).then_some(batch))
    }

    pub(super) async fn publish<'e>(
        self,
        executor: impl PgExecutor<'e>,
    ) -> Result<Vec<i64>, Error> {
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
