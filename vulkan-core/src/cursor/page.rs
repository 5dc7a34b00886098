use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::FromRow;
use sqlx::types::Json;

use super::event::LogEvent;
use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;

/// How many events a page holds at most: enough to make the round trip cheap, few enough to hold.
const PAGE: i32 = 500;

/// Some events, and how far the database looked for them.
pub(super) struct Page {
    pub(super) events: Vec<LogEvent>,
    pub(super) up_to: i64,
}

#[derive(FromRow)]
struct Row {
    up_to: i64,
    offset: Option<i64>,
    kind: Option<String>,
    partition_key: Option<String>,
    payload: Option<Json<Box<RawValue>>>,
    headers: Option<Json<Box<RawValue>>>,
    published_at: Option<DateTime<Utc>>,
}

/// The page after an offset, filtered by a group's bindings if there is one. `None`: nothing new.
pub(super) async fn read(
    client: &Client,
    stream_id: i32,
    after: i64,
    group_id: Option<i32>,
) -> Result<Option<Page>, Error> {
    let rows: Vec<Row> = answered(client, move |connection| {
        Box::pin(
            sqlx::query_as(include_str!("../../queries/read_events.sql"))
                .bind(stream_id)
                .bind(after)
                .bind(PAGE)
                .bind(group_id)
                .fetch_all(connection),
        )
    })
    .await?;
    let Some(up_to) = rows.first().map(|row| row.up_to) else {
        return Ok(None);
    };
    Ok(Some(Page {
        events: rows.into_iter().filter_map(Row::into_event).collect(),
        up_to,
    }))
}

impl Row {
    /// A row without an event only says how far was looked.
    fn into_event(self) -> Option<LogEvent> {
        Some(LogEvent {
            offset: self.offset?,
            kind: self.kind?,
            partition_key: self.partition_key,
            payload: self.payload?.0,
            headers: self.headers.map(|Json(headers)| headers),
            published_at: self.published_at?,
        })
    }
}
