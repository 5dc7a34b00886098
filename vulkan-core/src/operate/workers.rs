use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::FromRow;

use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;

/// A worker that is alive: a row of `vulkan.workers`.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[non_exhaustive]
pub struct LiveWorker {
    /// Its name.
    pub name: String,
    /// The version of the program.
    pub version: Option<String>,
    /// The client library and its version.
    pub library: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// The process.
    pub pid: Option<i32>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it last gave a sign of life.
    pub seen_at: DateTime<Utc>,
    /// Whether it goes on claiming.
    #[sqlx(try_from = "String")]
    pub state: WorkerState,
    /// How many messages it handles at once.
    pub slots: i32,
    /// How many it handled at that sign of life.
    pub slots_used: i32,
    /// Its handlers.
    #[sqlx(json)]
    pub handlers: Vec<ServedHandler>,
    /// How many handlers were told to end since it started, and did not in time.
    pub ignored_cancellations: i64,
    /// How many handlers block their thread.
    pub stuck_handlers: i32,
    /// The last call to the database that failed.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<DateTime<Utc>>,
    /// When it was asked to drain.
    pub drain_requested_at: Option<DateTime<Utc>>,
}

/// Whether a worker goes on claiming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkerState {
    /// It claims and handles.
    #[default]
    Running,
    /// It claims nothing more, finishes what it has, and ends.
    Draining,
}

impl WorkerState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
        }
    }
}

/// As it stands in `vulkan.workers`.
impl TryFrom<String> for WorkerState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        [Self::Running, Self::Draining]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("unknown worker state {text:?}"))
    }
}

/// A handler as its worker tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServedHandler {
    /// Its name.
    pub name: String,
    /// The stream it reads.
    pub stream: String,
    /// Its group.
    pub group: String,
    /// The kinds it takes; none means every kind.
    pub kinds: Vec<String>,
    /// Its options, those that are set, as texts and numbers.
    pub options: Map<String, Value>,
}

impl Client {
    /// The workers that are alive, by name. One that was killed is gone after a minute or two, after an hour if it was
    /// asked to drain.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn workers(&self) -> Result<Vec<LiveWorker>, Error> {
        let pool = self.pool().clone();
        to_the_end(async move {
            Ok(sqlx::query_as(include_str!("../../queries/workers.sql"))
                .fetch_all(&pool)
                .await?)
        })
        .await
    }

    /// Asks a worker to claim nothing more, to finish what it has, and to end, as SIGTERM does.
    /// Returns since when it is asked.
    ///
    /// It sees that within a second while it works or somebody publishes, else within ten.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownWorker`] if no worker of that name is alive.
    pub async fn drain_worker(&self, name: &str) -> Result<DateTime<Utc>, Error> {
        let (pool, name) = (self.pool().clone(), name.to_owned());
        to_the_end(async move {
            let since = sqlx::query_scalar(include_str!("../../queries/drain_worker.sql"))
                .bind(name)
                .fetch_one(&pool);
            Ok(since.await?)
        })
        .await
    }

    /// Asks all workers of a version of the program to drain, `None` being those without one.
    /// Returns how many.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownWorker`] if there is none.
    pub async fn drain_workers(&self, version: Option<&str>) -> Result<i32, Error> {
        let (pool, version) = (self.pool().clone(), version.map(str::to_owned));
        to_the_end(async move {
            let asked = sqlx::query_scalar(include_str!("../../queries/drain_workers.sql"))
                .bind(version)
                .fetch_one(&pool);
            Ok(asked.await?)
        })
        .await
    }
}
