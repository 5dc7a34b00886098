use std::time::Duration;

use futures::FutureExt;
use sqlx::FromRow;
use sqlx::types::Json;

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;
use crate::interval::interval;
use crate::operate::{ServedHandler, WorkerState};

/// A worker's sign of life: what becomes its row of `vulkan.workers`.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The worker's name.
    pub worker: String,
    /// Tells this process from an earlier one of the same name.
    pub instance: String,
    /// Whether it goes on claiming.
    pub state: WorkerState,
    /// The version of the program.
    pub version: Option<String>,
    /// The client library and its version.
    pub library: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// How long it has been running.
    pub uptime: Duration,
    /// How many messages it handles at once.
    pub slots: usize,
    /// How many it handles now.
    pub slots_used: usize,
    /// The groups it serves.
    pub group_ids: Vec<i32>,
    /// Its handlers.
    pub handlers: Vec<ServedHandler>,
    /// How many handlers did not end although they were told to.
    pub ignored_cancellations: u64,
    /// How many handlers block their thread now.
    pub stuck_handlers: usize,
    /// The last call to the database that failed, and how long ago.
    pub last_error: Option<(String, Duration)>,
}

/// What a worker is told when it gives a sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
#[non_exhaustive]
pub struct Answer {
    /// It is asked to drain: to claim nothing more, to finish, and to end.
    pub drain: bool,
    /// The other versions of the program that serve any of its groups; an empty one is none.
    pub other_versions: Vec<String>,
}

impl Client {
    /// Gives a sign of life.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; the row then goes if no other beat follows within a minute.
    pub async fn worker_beat(&self, beat: Beat) -> Result<Answer, Error> {
        let answer = answered(self, move |connection| {
            let (error, error_age) = beat.last_error.unzip();
            sqlx::query_as(include_str!("../../queries/worker_beat.sql"))
                .bind(beat.worker)
                .bind(beat.instance)
                .bind(beat.state.as_str())
                .bind(beat.version)
                .bind(beat.library)
                .bind(beat.host)
                .bind(i32::try_from(beat.pid).ok())
                .bind(interval(beat.uptime))
                .bind(whole(beat.slots))
                .bind(whole(beat.slots_used))
                .bind(beat.group_ids)
                .bind(Json(beat.handlers))
                .bind(i64::try_from(beat.ignored_cancellations).unwrap_or(i64::MAX))
                .bind(whole(beat.stuck_handlers))
                .bind(error)
                .bind(error_age.map(interval))
                .fetch_one(connection)
                .boxed()
        });
        Ok(answer.await?)
    }

    /// A worker's last word: removes its row. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; the row then goes within a minute or two.
    pub async fn worker_gone(&self, worker: &str, instance: &str) -> Result<bool, Error> {
        let (worker, instance) = (worker.to_owned(), instance.to_owned());
        let gone = answered(self, move |connection| {
            sqlx::query_scalar(include_str!("../../queries/worker_gone.sql"))
                .bind(worker)
                .bind(instance)
                .fetch_one(connection)
                .boxed()
        });
        Ok(gone.await?)
    }
}

fn whole(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
