//! Time, moved in the database instead of waited for.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use super::TestApp;
use crate::failure::{Caller, OrFail};

/// How often a move of time is tried that met with a deadlock: it has touched nothing then.
const TRIES: u32 = 5;

impl TestApp {
    /// Moves time forward: what falls due within that span is due when this returns.
    ///
    /// That goes for backoffs, snoozes and delays, leases, schedules, dedup windows and slots of the log, and whatever else the
    /// schema `vulkan` keeps as a time: all stored times go back by the span. A schedule by cron fires then, and goes on by the clock on
    /// the wall, which has not moved: move by whole days to keep it at its time of day. Leases that have run out are taken back, as when
    /// a worker gives no sign of life for so long; one that runs beside the test has lost its messages then. What is in
    /// your own tables stays as it is, and so does a timer in your program.
    ///
    /// # Panics
    ///
    /// When the database refuses.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use vulkan::{HandlerError, Message, handler};
    /// use vulkan_testing::TestApp;
    ///
    /// #[handler(stream = "orders", group = "billing")]
    /// async fn bill(bank_is_open: bool) -> vulkan::Result {
    ///     Err(HandlerError::snooze(Duration::from_secs(3600)))
    /// }
    ///
    /// # async fn test() -> Result<(), vulkan::Error> {
    /// let app = TestApp::new().await;
    /// let offset = app.publish(Message::new("orders", "order.placed", &false)?).await;
    /// app.drain(app.worker().register(bill)).await;
    /// let billing = app.group("orders", "billing");
    /// assert!(billing.message(offset).await.due_in.unwrap() > Duration::from_secs(3500));
    ///
    /// app.advance(Duration::from_secs(3600)).await;
    /// assert_eq!(billing.message(offset).await.due_in, Some(Duration::ZERO));
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
    /// ```
    #[track_caller]
    pub fn advance(&self, by: Duration) -> impl Future<Output = ()> {
        let at = Location::caller();
        let by = PgInterval {
            months: 0,
            days: 0,
            microseconds: i64::try_from(by.as_micros()).unwrap_or(i64::MAX),
        };
        self.moved(include_str!("../../queries/advance.sql"), Some(by), at)
    }

    /// Lets every lease that is held now run out and takes it back, as if the workers had died: the attempts
    /// count, and the messages are handed out again.
    ///
    /// # Panics
    ///
    /// When the database refuses.
    #[track_caller]
    pub fn lose_leases(&self) -> impl Future<Output = ()> {
        let sql = include_str!("../../queries/lose_leases.sql");
        self.moved(sql, None, Location::caller())
    }

    /// Lets every lease that is held now run out, and leaves it to workers to take them back.
    ///
    /// # Panics
    ///
    /// When the database refuses.
    #[track_caller]
    pub fn expire_leases(&self) -> impl Future<Output = ()> {
        let sql = include_str!("../../queries/expire_leases.sql");
        self.moved(sql, None, Location::caller())
    }

    /// Lets every backoff, snooze and delay of a message be over, however long it was, and leaves all other times alone.
    ///
    /// # Panics
    ///
    /// When the database refuses.
    #[track_caller]
    pub fn all_due(&self) -> impl Future<Output = ()> {
        let sql = include_str!("../../queries/all_due.sql");
        self.moved(sql, None, Location::caller())
    }

    async fn moved(&self, sql: &'static str, by: Option<PgInterval>, at: Caller) {
        for tries in 1.. {
            let mut query = sqlx::query(sql);
            if let Some(by) = &by {
                query = query.bind(by);
            }
            match query.execute(self.pool()).await {
                Err(error) if tries < TRIES && is_deadlock(&error) => {}
                answer => {
                    answer.or_fail(at, "time does not move");
                    return;
                }
            }
        }
    }
}

/// A handler's transaction may hold rows of several messages, and the other way round.
fn is_deadlock(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some("40P01"))
}
