use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::{FromRow, Row};

use super::definition::Missed;
use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;
use crate::interval::duration;

/// A recurring event at a glance: a row of `vulkan.schedule_overview`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleOverview {
    /// The name.
    pub schedule: String,
    /// The stream that its events go to.
    pub stream: String,
    /// Their kind.
    pub kind: String,
    /// The cron expression, if it has one, and else …
    pub cron: Option<String>,
    /// … its interval.
    pub every: Option<Duration>,
    /// Whose clock the expression means.
    pub time_zone: String,
    /// What becomes of missed ticks.
    pub missed: Missed,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// The next tick: none while it is paused, or a worker has yet to compute it.
    pub next_at: Option<DateTime<Utc>>,
    /// The newest tick that was published, by the time it was due.
    pub last_at: Option<DateTime<Utc>>,
    /// The offset of that event.
    pub last_offset: Option<i64>,
    /// Why it could not be fired.
    pub last_error: Option<String>,
}

impl FromRow<'_, PgRow> for ScheduleOverview {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let missed: String = row.try_get("missed")?;
        let missed = Missed::try_from(missed).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            schedule: row.try_get("schedule")?,
            stream: row.try_get("stream")?,
            kind: row.try_get("kind")?,
            cron: row.try_get("cron")?,
            every: row.try_get::<Option<PgInterval>, _>("every")?.map(duration),
            time_zone: row.try_get("time_zone")?,
            missed,
            paused_at: row.try_get("paused_at")?,
            next_at: row.try_get("next_at")?,
            last_at: row.try_get("last_at")?,
            last_offset: row.try_get("last_offset")?,
            last_error: row.try_get("last_error")?,
        })
    }
}

impl Client {
    /// All recurring events, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn schedules(&self) -> Result<Vec<ScheduleOverview>, Error> {
        let pool = self.pool().clone();
        to_the_end(async move {
            Ok(
                sqlx::query_as(include_str!("../../queries/schedule_overview.sql"))
                    .fetch_all(&pool)
                    .await?,
            )
        })
        .await
    }
}
