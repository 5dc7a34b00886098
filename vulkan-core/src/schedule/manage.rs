use sqlx::types::Json;

use super::definition::{Schedule, Timing};
use crate::client::Client;
use crate::detach::to_the_end;
use crate::engine::DueSchedule;
use crate::error::Error;
use crate::interval::interval;

impl Client {
    /// Makes a recurring event, or changes the one of that name to this definition; returns whether
    /// anything changed.
    ///
    /// The same definition changes nothing, so that every process may put its schedules when it starts.
    /// Another timing begins anew from now; another event, or another policy, leaves the ticks as they
    /// are. One that an operator paused stays paused. Workers fire it, whatever else they do; without
    /// any, it waits.
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] with every mistake in the definition; [`Error::UnknownStream`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = vulkan_devpg::shared().await.create_database().await?;
    /// # let client = vulkan_core::Client::connect(&database.url()).await?;
    /// # client.migrate().await?;
    /// use vulkan_core::{Message, Schedule};
    ///
    /// client.create_stream("reports").await?;
    /// let nightly = Schedule::cron("nightly", "0 3 * * *")
    ///     .time_zone("Europe/Zurich")
    ///     .event(Message::new("reports", "report.due", &"all")?);
    /// assert!(client.put_schedule(&nightly).await?);
    /// assert!(!client.put_schedule(&nightly).await?, "nothing changed");
    ///
    /// for schedule in client.schedules().await? {
    ///     println!("{} comes next at {:?}", schedule.schedule, schedule.next_at);
    /// }
    /// # assert!(client.schedules().await?[0].next_at.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_schedule(&self, schedule: &Schedule) -> Result<bool, Error> {
        schedule.check().map_err(Error::Schedule)?;
        let Ok(event) = schedule.event.clone() else {
            return Ok(false);
        };
        let (cron, every) = match &schedule.timing {
            Timing::Cron(expression) => (Some(expression.clone()), None),
            Timing::Every(every) => (None, Some(interval(*every))),
        };
        let (pool, schedule) = (self.pool().clone(), schedule.clone());
        let name = schedule.name.clone();
        let changed = to_the_end(async move {
            sqlx::query_scalar(include_str!("../../queries/put_schedule.sql"))
                .bind(schedule.name)
                .bind(event.stream)
                .bind(event.kind)
                .bind(Json(event.payload))
                .bind(cron)
                .bind(every)
                .bind(schedule.time_zone)
                .bind(schedule.missed.as_str())
                .bind(interval(schedule.grace))
                .bind(i32::try_from(schedule.catch_up).unwrap_or(i32::MAX))
                .bind(event.key)
                .bind(event.headers.map(Json))
                .fetch_one(&pool)
                .await
        })
        .await?;
        self.plan_at_once(&name).await?;
        Ok(changed)
    }

    /// Stops a recurring event until it is resumed; returns whether anything changed. Ticks that come
    /// meanwhile do not count as missed.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSchedule`].
    pub async fn pause_schedule(&self, name: &str) -> Result<bool, Error> {
        self.switch_schedule(include_str!("../../queries/pause_schedule.sql"), name)
            .await
    }

    /// Lets a paused recurring event go on, with its next tick after now; returns whether anything changed.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSchedule`].
    pub async fn resume_schedule(&self, name: &str) -> Result<bool, Error> {
        let changed = self
            .switch_schedule(include_str!("../../queries/resume_schedule.sql"), name)
            .await?;
        self.plan_at_once(name).await?;
        Ok(changed)
    }

    /// Forgets a recurring event; returns whether there was one. What it published stays.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn delete_schedule(&self, name: &str) -> Result<bool, Error> {
        self.switch_schedule(include_str!("../../queries/delete_schedule.sql"), name)
            .await
    }

    /// Publishes the event of a schedule now, beside its ticks, which stay as they are; returns its offset.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSchedule`].
    pub async fn run_schedule_now(&self, name: &str) -> Result<i64, Error> {
        let (pool, name) = (self.pool().clone(), name.to_owned());
        to_the_end(async move {
            Ok(
                sqlx::query_scalar(include_str!("../../queries/run_schedule_now.sql"))
                    .bind(name)
                    .fetch_one(&pool)
                    .await?,
            )
        })
        .await
    }

    async fn switch_schedule(&self, sql: &'static str, name: &str) -> Result<bool, Error> {
        let (pool, name) = (self.pool().clone(), name.to_owned());
        to_the_end(async move { Ok(sqlx::query_scalar(sql).bind(name).fetch_one(&pool).await?) })
            .await
    }

    /// Computes the next tick, so that who looks sees it. Should this not come to pass, a worker does it.
    async fn plan_at_once(&self, name: &str) -> Result<(), Error> {
        let (pool, name) = (self.pool().clone(), name.to_owned());
        let due: Option<DueSchedule> = to_the_end(async move {
            sqlx::query_as(include_str!("../../queries/unplanned_schedule.sql"))
                .bind(name)
                .fetch_optional(&pool)
                .await
        })
        .await?;
        if let Some(due) = due {
            self.plan_schedule(&due).await?;
        }
        Ok(())
    }
}
