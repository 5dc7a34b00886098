mod brought;

use std::fmt;

use chrono::{DateTime, Utc};
use futures::TryFutureExt;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row};

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;
use brought::Brought;

/// A message as it is handed out.
pub struct Claimed {
    /// The event's offset.
    pub offset: i64,
    /// The event's kind.
    pub kind: String,
    /// The event's partition key.
    pub partition_key: Option<String>,
    /// The event's payload.
    pub payload: Box<RawValue>,
    /// The event's headers, a JSON object.
    pub headers: Option<Box<RawValue>>,
    /// When the event was published.
    pub published_at: DateTime<Utc>,
    /// Which attempt this is; the first is 1.
    pub attempt: i32,
    /// The fence: settling the message needs it.
    pub token: i64,
    /// The claim the message belongs to, by its upper end, unless it has a row of its own.
    pub claim_hi: Option<i64>,
    /// The lane of a keyed message: handle the messages of one lane one after the other.
    pub lane: Option<i64>,
    /// It came back from a lost lease: handle no second such message beside it.
    pub solo: bool,
    /// It was handed out before: tried, redriven, replayed, put off or given back. Of a message at its first
    /// attempt only [`Client::claim_with_past`] knows.
    pub again: bool,
}

/// Leaves out the payload, the headers and the key, which may hold what no log should.
impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed")
            .field("offset", &self.offset)
            .field("kind", &self.kind)
            .field("published_at", &self.published_at)
            .field("attempt", &self.attempt)
            .field("token", &self.token)
            .field("claim_hi", &self.claim_hi)
            .field("lane", &self.lane)
            .field("solo", &self.solo)
            .finish_non_exhaustive()
    }
}

// By position: this is the hot path, and the query stands beside it.
impl FromRow<'_, PgRow> for Claimed {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let attempt: i32 = row.try_get(6)?;
        Ok(Self {
            offset: row.try_get(0)?,
            kind: row.try_get(1)?,
            partition_key: row.try_get(2)?,
            payload: row.try_get::<Json<_>, _>(3)?.0,
            headers: row
                .try_get::<Option<Json<_>>, _>(4)?
                .map(|Json(headers)| headers),
            published_at: row.try_get(5)?,
            attempt,
            token: row.try_get(7)?,
            claim_hi: row.try_get(8)?,
            lane: row.try_get(9)?,
            solo: row.try_get(10)?,
            again: attempt > 1 || (row.len() > 11 && row.try_get(11)?),
        })
    }
}

impl Client {
    /// Claims up to `max_messages` messages of a group for `worker`, keyed ones from up to `max_lanes`
    /// lanes at a time, and one that came back from a lost lease only if `take_solo`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownGroup`] if there is no lifecycle group of that id.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end, and what it claimed is given back, no attempt spent.
    pub async fn claim(
        &self,
        group_id: i32,
        worker: &str,
        max_messages: i32,
        max_lanes: i32,
        take_solo: bool,
    ) -> Result<Vec<Claimed>, Error> {
        let sql = include_str!("../../queries/claim.sql");
        self.claim_by(sql, group_id, worker, max_messages, max_lanes, take_solo)
            .await
    }

    /// Claims as [`claim`](Self::claim) does, and tells of each message whether it was handed out
    /// [before](Claimed::again), which costs a look-up for each.
    ///
    /// # Errors
    ///
    /// As [`claim`](Self::claim).
    ///
    /// # Cancel safety
    ///
    /// As [`claim`](Self::claim).
    pub async fn claim_with_past(
        &self,
        group_id: i32,
        worker: &str,
        max_messages: i32,
        max_lanes: i32,
        take_solo: bool,
    ) -> Result<Vec<Claimed>, Error> {
        let sql = include_str!("../../queries/claim_with_past.sql");
        self.claim_by(sql, group_id, worker, max_messages, max_lanes, take_solo)
            .await
    }

    async fn claim_by(
        &self,
        sql: &'static str,
        group_id: i32,
        worker: &str,
        max_messages: i32,
        max_lanes: i32,
        take_solo: bool,
    ) -> Result<Vec<Claimed>, Error> {
        let (client, worker) = (self.clone(), worker.to_owned());
        let brought = answered(self, move |connection| {
            let claimed = sqlx::query_as(sql)
                .bind(group_id)
                .bind(worker)
                .bind(max_messages)
                .bind(max_lanes)
                .bind(take_solo)
                .fetch_all(connection);
            let on_its_way = claimed.map_ok(move |messages| Brought {
                client,
                group_id,
                messages,
            });
            Box::pin(on_its_way)
        });
        Ok(brought.await?.take())
    }
}
