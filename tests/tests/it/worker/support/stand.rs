//! What the database says of messages.

use std::time::Duration;

use sqlx::PgPool;
use vulkan::{Client, Worker, WorkerBuilder};

use vulkan_testing::until;

use crate::support::{TestDb, within};

/// A message as `vulkan.deliveries` has it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Stand {
    pub(crate) status: String,
    pub(crate) attempts: i32,
    pub(crate) last_error: Option<String>,
    /// Seconds from its last change to its next attempt.
    pub(crate) delay: Option<f64>,
}

impl Stand {
    pub(crate) fn is(&self, status: &str, attempts: i32) -> bool {
        self.status == status && self.attempts == attempts
    }

    pub(crate) async fn of(pool: &PgPool, group: &str, offset: i64) -> Option<Self> {
        sqlx::query_as(
            "SELECT status, attempts, last_error,
                    extract(epoch FROM run_at - updated_at)::float8 AS delay
             FROM vulkan.deliveries WHERE consumer_group = $1 AND event_offset = $2",
        )
        .bind(group)
        .bind(offset)
        .fetch_optional(pool)
        .await
        .unwrap()
    }
}

impl TestDb {
    /// A client with a pool of its own, as a process has it.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.url()).await.unwrap()
    }

    /// A worker that looks for work often, so that time moved in the database is noticed soon.
    pub(crate) async fn worker(&self) -> WorkerBuilder<()> {
        Worker::builder(self.client().await).poll(Duration::from_millis(50))
    }

    pub(crate) async fn stand(&self, group: &str, offset: i64) -> Stand {
        Stand::of(&self.pool, group, offset)
            .await
            .unwrap_or_else(|| panic!("{offset} is no message of {group}"))
    }

    /// Waits until a message stands like this.
    pub(crate) async fn until_stands(
        &self,
        group: &str,
        offset: i64,
        what: &str,
        holds: impl Fn(&Stand) -> bool,
    ) -> Stand {
        within(
            &format!("message {offset} of {group} to be {what}"),
            async {
                loop {
                    let stand = Stand::of(&self.pool, group, offset).await;
                    match stand {
                        Some(stand) if holds(&stand) => return stand,
                        _ => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                }
            },
        )
        .await
    }

    pub(crate) async fn until_is(&self, group: &str, offset: i64, status: &str, attempts: i32) {
        let what = format!("{status} at {attempts}");
        self.until_stands(group, offset, &what, |stand| stand.is(status, attempts))
            .await;
    }

    /// How many messages of a group have a status.
    pub(crate) async fn count(&self, group: &str, status: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM vulkan.deliveries WHERE consumer_group = $1 AND status = $2",
        )
        .bind(group)
        .bind(status)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Waits until so many messages of a group are done.
    pub(crate) async fn until_done(&self, group: &str, many: i64) {
        until(
            &format!("{many} messages of {group} to be done"),
            || async { self.count(group, "done").await == many },
        )
        .await;
    }
}
