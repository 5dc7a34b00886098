//! The private Postgres, which can be stopped in two ways, and comes back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use vulkan_devpg::Postgres;

use crate::Result;
use crate::ledger::now;

/// For the queries of the scoreboard, over tables that grow from nothing: plans that know of it soon, and are not compiled.
const SETTINGS: &[(&str, &str)] = &[("autovacuum_naptime", "5s"), ("jit", "off")];

/// Between two attempts to connect to a server that is about to come back.
const KNOCK: Duration = Duration::from_millis(10);

/// How the server goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// As an operator restarts it: transactions are rolled back, and nothing needs recovery.
    Fast,
    /// As a crash: nothing is finished, and the start goes through recovery.
    Immediate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    /// Going, gone or coming back, since then.
    Away(How, Instant),
}

/// It has come back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Back {
    /// For how long nobody could connect.
    pub(crate) away: Duration,
    /// By the clock of the ledgers: when it took the first connection again.
    pub(crate) at: u64,
}

#[derive(Debug)]
pub(crate) struct Server {
    /// Held by whoever stops and starts it.
    postgres: Mutex<Postgres>,
    state: watch::Sender<State>,
    url: String,
    directory: PathBuf,
}

impl Server {
    /// As PostgreSQL comes, durable in every respect. Never the server of `DATABASE_URL`, since this one is to suffer.
    pub(crate) async fn start() -> Result<Self> {
        let postgres = Postgres::start_private(SETTINGS).await?;
        let directory = postgres.directory().ok_or("the server is not private")?;
        Ok(Self {
            directory: directory.to_owned(),
            url: postgres.url(),
            postgres: Mutex::new(postgres),
            state: watch::Sender::new(State::Up),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Goes with the server, however this process ends.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Stops it and starts it again. `None`: somebody is at it already.
    pub(crate) async fn bounce(&self, how: How) -> Result<Option<Back>> {
        let Ok(mut postgres) = self.postgres.try_lock() else {
            return Ok(None);
        };
        let began = Instant::now();
        self.state.send_replace(State::Away(how, began));
        match how {
            How::Fast => postgres.shut_down().await?,
            How::Immediate => postgres.crash().await?,
        }
        // It takes connections before its own tools have noticed.
        let (back, ()) = tokio::try_join!(self.answered(began), async {
            Ok(postgres.restart().await?)
        })?;
        self.state.send_replace(State::Up);
        Ok(Some(back))
    }

    async fn answered(&self, since: Instant) -> Result<Back> {
        let options: PgConnectOptions = self.url.parse()?;
        loop {
            if let Ok(connection) = options.connect().await {
                let (away, at) = (since.elapsed(), now());
                // It has served its purpose, however it closes.
                let _ = connection.close().await;
                return Ok(Back { away, at });
            }
            sleep(KNOCK).await;
        }
    }

    /// Stops it for good and removes its directory.
    pub(crate) async fn end(self) -> Result<()> {
        Ok(self.postgres.into_inner().stop().await?)
    }
}
