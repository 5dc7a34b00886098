//! A message as a group has it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use vulkan::Status;

use crate::TestApp;
use crate::failure::{Caller, OrFail};

/// A message as one group has it, in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestMessage {
    /// Its offset.
    pub offset: i64,
    /// The kind of its event.
    pub kind: String,
    /// The partition key of its event.
    pub key: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Attempts begun so far.
    pub attempts: i32,
    /// Attempts after which it is dead.
    pub max_attempts: i32,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// How long until it is due, if it waits; nothing if it is due.
    pub due_in: Option<Duration>,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    /// When it was last handed out.
    pub claimed_at: Option<DateTime<Utc>>,
    /// Until when its worker has it without a sign of life.
    pub lease_until: Option<DateTime<Utc>>,
    /// When its state last changed.
    pub updated_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for TestMessage {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let status: String = row.try_get("status")?;
        let due_in: Option<f64> = row.try_get("due_in")?;
        Ok(Self {
            offset: row.try_get("offset")?,
            kind: row.try_get("kind")?,
            key: row.try_get("key")?,
            status: match status.as_str() {
                "ready" => Status::Ready,
                "processing" => Status::Processing,
                "done" => Status::Done,
                "dead" => Status::Dead,
                other => {
                    return Err(sqlx::Error::Decode(
                        format!("unknown status {other:?}").into(),
                    ));
                }
            },
            attempts: row.try_get("attempts")?,
            max_attempts: row.try_get("max_attempts")?,
            last_error: row.try_get("last_error")?,
            due_in: due_in.map(|due_in| Duration::try_from_secs_f64(due_in).unwrap_or_default()),
            worker: row.try_get("worker")?,
            claimed_at: row.try_get("claimed_at")?,
            lease_until: row.try_get("lease_until")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

impl TestMessage {
    /// All messages of a group, by offset; none of a group that does not exist.
    pub(crate) async fn all(app: &TestApp, stream: &str, group: &str, at: Caller) -> Vec<Self> {
        sqlx::query_as(include_str!("../../queries/messages.sql"))
            .bind(stream)
            .bind(group)
            .fetch_all(app.pool())
            .await
            .or_fail(at, "the messages cannot be read")
    }
}
