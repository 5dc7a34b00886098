use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::DryRun;
use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;

/// The state of a message in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It waits: for its turn, for a retry, for its time.
    Ready,
    /// A worker has it.
    Processing,
    /// It was handled, or skipped.
    Done,
    /// It was given up, until somebody redrives it.
    Dead,
}

impl Status {
    pub(crate) fn parse(text: &str) -> sqlx::Result<Self> {
        match text {
            "ready" => Ok(Self::Ready),
            "processing" => Ok(Self::Processing),
            "done" => Ok(Self::Done),
            "dead" => Ok(Self::Dead),
            other => Err(sqlx::Error::Decode(
                format!("unknown delivery status {other:?}").into(),
            )),
        }
    }
}

/// One message as one group sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// The stream.
    pub stream: String,
    /// The consumer group.
    pub group: String,
    /// Where the message stands.
    pub status: Status,
    /// Attempts begun so far.
    pub attempts: i32,
    /// Attempts after which it is dead.
    pub max_attempts: i32,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// When it is due, if it waits.
    pub run_at: Option<DateTime<Utc>>,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    /// When it was last handed out.
    pub claimed_at: Option<DateTime<Utc>>,
    /// Until when the worker has it without a sign of life.
    pub lease_until: Option<DateTime<Utc>>,
    /// When its state last changed.
    pub updated_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for Inspected {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            stream: row.try_get("stream")?,
            group: row.try_get("consumer_group")?,
            status: Status::parse(row.try_get("status")?)?,
            attempts: row.try_get("attempts")?,
            max_attempts: row.try_get("max_attempts")?,
            last_error: row.try_get("last_error")?,
            run_at: row.try_get("run_at")?,
            worker: row.try_get("worker")?,
            claimed_at: row.try_get("claimed_at")?,
            lease_until: row.try_get("lease_until")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

impl Client {
    /// One message in all lifecycle groups that it concerns.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn inspect(&self, offset: i64) -> Result<Vec<Inspected>, Error> {
        let pool = self.pool().clone();
        to_the_end(async move {
            Ok(sqlx::query_as(include_str!("../../queries/inspect.sql"))
                .bind(offset)
                .fetch_all(&pool)
                .await?)
        })
        .await
    }

    /// Takes one message as done for a group, whatever its state; returns the state it had.
    ///
    /// # Errors
    ///
    /// [`Error::NoMessage`] if the event is no message of the group.
    pub async fn skip(
        &self,
        stream: &str,
        group: &str,
        offset: i64,
        reason: Option<&str>,
        dry_run: DryRun,
    ) -> Result<Status, Error> {
        let sql = include_str!("../../queries/skip.sql");
        self.end_message(sql, stream, group, offset, reason, dry_run)
            .await
    }

    /// Skips or cancels one message; returns the state it had.
    pub(super) async fn end_message(
        &self,
        sql: &'static str,
        stream: &str,
        group: &str,
        offset: i64,
        reason: Option<&str>,
        dry_run: DryRun,
    ) -> Result<Status, Error> {
        let pool = self.pool().clone();
        let (stream, group, reason) = (
            stream.to_owned(),
            group.to_owned(),
            reason.map(str::to_owned),
        );
        to_the_end(async move {
            let was: String = sqlx::query_scalar(sql)
                .bind(stream)
                .bind(group)
                .bind(offset)
                .bind(reason)
                .bind(dry_run == DryRun::Yes)
                .fetch_one(&pool)
                .await?;
            Ok(Status::parse(&was)?)
        })
        .await
    }
}
