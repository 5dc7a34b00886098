use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sqlx::FromRow;

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;
use crate::interval::interval;
use crate::schedule::Cron;

/// A recurring event that is due, or will be soon, or whose next tick nobody has computed yet.
#[derive(Debug, Clone, FromRow)]
#[non_exhaustive]
pub struct DueSchedule {
    /// The schedule's name.
    #[sqlx(rename = "schedule")]
    pub name: String,
    /// The fence: what is computed from another revision is not fired.
    pub revision: i64,
    /// The cron expression, if it has one.
    pub cron: Option<String>,
    /// Whose clock the expression means.
    pub time_zone: String,
    /// When it is due; unknown where [`Client::plan_schedule`] has to say so first.
    pub due: Option<DateTime<Utc>>,
    /// Ticks count from here.
    pub since: DateTime<Utc>,
    /// The most ticks that are published at once.
    pub at_once: i32,
    /// The database's clock when it was asked.
    pub now: DateTime<Utc>,
}

impl DueSchedule {
    /// How long until it is due, as of the look; zero where it is.
    pub fn wait(&self) -> Duration {
        let wait = self.due.map(|due| due - self.now);
        wait.and_then(|wait| wait.to_std().ok()).unwrap_or_default()
    }

    /// The ticks up to now and the one after, for cron. An interval's are the database's to compute.
    fn ticks(&self) -> Result<Option<Ticks>, Error> {
        let (Some(cron), Some(due)) = (self.read()?, self.due) else {
            return Ok(None);
        };
        let at_once = usize::try_from(self.at_once).unwrap_or(1);
        let ticks = cron.ticks(due, self.now, at_once);
        Ok(Some(ticks.ok_or_else(|| self.ends())?))
    }

    fn read(&self) -> Result<Option<Cron>, Error> {
        let cron = self.cron.as_ref();
        let cron = cron.map(|expression| Cron::new(expression, &self.time_zone));
        cron.transpose()
            .map_err(|error| Error::invalid(error.to_string(), "put the schedule anew"))
    }

    fn ends(&self) -> Error {
        Error::invalid(
            format!("schedule {:?} has no further tick", self.name),
            "delete it",
        )
    }
}

type Ticks = (Vec<DateTime<Utc>>, DateTime<Utc>);

impl Client {
    /// The recurring events that are due now or within `look_ahead`.
    ///
    /// `look_back` bounds how long ago they may have fallen due, which keeps the look cheap while somebody
    /// holds an old snapshot; `None` is any time.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn due_schedules(
        &self,
        look_ahead: Duration,
        look_back: Option<Duration>,
    ) -> Result<Vec<DueSchedule>, Error> {
        Ok(answered(self, move |connection| {
            sqlx::query_as(include_str!("../../queries/due_schedules.sql"))
                .bind(interval(look_ahead))
                .bind(look_back.map(interval))
                .fetch_all(connection)
                .boxed()
        })
        .await?)
    }

    /// Computes the first tick of a schedule that has none yet. Returns whether it was this call that did.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cron expression or the time zone cannot be read.
    pub async fn plan_schedule(&self, due: &DueSchedule) -> Result<bool, Error> {
        let Some(cron) = due.read()? else {
            return Ok(false);
        };
        let next = cron.next_after(due.since).ok_or_else(|| due.ends())?;
        let (name, revision) = (due.name.clone(), due.revision);
        Ok(answered(self, move |connection| {
            sqlx::query_scalar(include_str!("../../queries/plan_schedule.sql"))
                .bind(name)
                .bind(revision)
                .bind(next)
                .fetch_one(connection)
                .boxed()
        })
        .await?)
    }

    /// Publishes the ticks of a schedule that is due, and moves it on to the next, in one transaction.
    /// Returns the offsets, or `None` where another was faster, or the schedule was changed or paused.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cron expression or the time zone cannot be read; [`Error::Database`],
    /// after which it may have been fired all the same: look again, and it is due or it is not.
    pub async fn fire_schedule(&self, due: &DueSchedule) -> Result<Option<Vec<i64>>, Error> {
        let (ticks, next) = due.ticks()?.unzip();
        let (name, revision, at) = (due.name.clone(), due.revision, due.due);
        Ok(answered(self, move |connection| {
            sqlx::query_scalar(include_str!("../../queries/fire_schedule.sql"))
                .bind(name)
                .bind(revision)
                .bind(at)
                .bind(ticks)
                .bind(next)
                .fetch_one(connection)
                .boxed()
        })
        .await?)
    }

    /// Notes why a schedule cannot be fired, and leaves it alone for a minute.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn fail_schedule(&self, due: &DueSchedule, error: &str) -> Result<bool, Error> {
        let (name, revision) = (due.name.clone(), due.revision);
        // The database takes no NUL.
        let error = error.replace('\0', "\u{fffd}");
        Ok(answered(self, move |connection| {
            sqlx::query_scalar(include_str!("../../queries/fail_schedule.sql"))
                .bind(name)
                .bind(revision)
                .bind(error)
                .fetch_one(connection)
                .boxed()
        })
        .await?)
    }
}
