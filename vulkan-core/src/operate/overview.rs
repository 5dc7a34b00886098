use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;
use crate::group::Mode;

/// A consumer group at a glance: a row of `vulkan.group_overview`.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[non_exhaustive]
pub struct GroupOverview {
    /// The stream.
    pub stream: String,
    /// The consumer group.
    #[sqlx(rename = "consumer_group")]
    pub group: String,
    /// What the group keeps of its messages.
    #[sqlx(try_from = "String")]
    pub mode: Mode,
    /// Since when the group is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// Everything at or below it has been handed out or passed over.
    pub cursor: i64,
    /// The stream's last stable offset: up to where it can be read.
    pub lso: i64,
    /// Messages above the cursor; a million means at least so many.
    pub lag_messages: i64,
    /// The age of the oldest message above the cursor, in seconds.
    pub lag_seconds: f64,
    /// Messages that workers have.
    pub in_flight: i64,
    /// Messages that wait, above the cursor and below it.
    pub ready: i64,
    /// Dead letters.
    pub dead: i64,
    /// When the oldest message that is neither done nor dead was published.
    pub oldest_unfinished: Option<DateTime<Utc>>,
    /// Partition keys held back by a message in backoff, or a dead one.
    pub blocked_keys: i64,
    /// The offsets of those messages, the lowest ten.
    pub blocked_heads: Option<Vec<i64>>,
    /// The server processes whose unfinished publish holds the stream back.
    pub lso_held_by: Option<Vec<i32>>,
    /// How the group's circuit breaker stands, if it has one: `closed`, `open` or `half-open`.
    pub breaker: Option<String>,
    /// Until when it is open.
    pub breaker_until: Option<DateTime<Utc>>,
}

impl Client {
    /// All groups of all streams at a glance.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn overview(&self) -> Result<Vec<GroupOverview>, Error> {
        let pool = self.pool().clone();
        to_the_end(async move {
            Ok(
                sqlx::query_as(include_str!("../../queries/group_overview.sql"))
                    .fetch_all(&pool)
                    .await?,
            )
        })
        .await
    }
}
