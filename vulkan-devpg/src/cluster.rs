//! A private cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;
use crate::blocking::blocking;
use crate::directory::{Directory, LOG};
use crate::sweep::sweep;
use crate::watchdog::{Order, Watchdog};

/// How much of the log an error shows.
const TAIL_LINES: usize = 20;

/// A throw-away cluster, gone soon after the value is.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) bin_dir: PathBuf,
    pub(crate) directory: PathBuf,
    watchdog: Arc<Mutex<Watchdog>>,
}

impl Cluster {
    /// Creates the cluster and starts its server.
    pub(crate) async fn start(
        bin_dir: PathBuf,
        settings: Vec<(String, String)>,
    ) -> Result<Self, Error> {
        blocking("start", move || {
            sweep();
            let cluster = Self::guard(bin_dir, &settings)?;
            cluster.obey(Order::Create)?;
            cluster.obey(Order::Start)?;
            Ok(cluster)
        })
        .await
    }

    /// Stops the server as a crash would.
    pub(crate) async fn crash(&self) -> Result<(), Error> {
        let cluster = self.clone();
        blocking("crash", move || cluster.obey(Order::Crash)).await
    }

    /// Stops the server in order.
    pub(crate) async fn shut_down(&self) -> Result<(), Error> {
        let cluster = self.clone();
        blocking("stop", move || cluster.obey(Order::Stop)).await
    }

    /// Starts the server again.
    pub(crate) async fn restart(&self) -> Result<(), Error> {
        let cluster = self.clone();
        blocking("restart", move || cluster.obey(Order::Start)).await
    }

    /// Stops the server, removes the directory and waits for both.
    pub(crate) async fn remove(self) -> Result<(), Error> {
        blocking("stop", move || {
            let mut watchdog = lock(&self.watchdog);
            watchdog.dismiss().map_err(self.failed("stop"))?;
            match self.directory.exists() {
                false => Ok(()),
                true => Err(self.server_failed("stop and go away")),
            }
        })
        .await
    }

    /// Puts a new directory under the guard of a watchdog.
    fn guard(bin_dir: PathBuf, settings: &[(String, String)]) -> Result<Self, Error> {
        let Directory { path, log, account } = Directory::prepare(settings)?;
        let watchdog = Watchdog::spawn(&bin_dir, path.path(), log, account);
        let watchdog = watchdog.map_err(|source| Error::Io {
            action: "start /bin/sh for",
            path: path.path().to_owned(),
            source,
        })?;
        Ok(Self {
            bin_dir,
            // From here on the watchdog removes it.
            directory: path.keep(),
            watchdog: Arc::new(Mutex::new(watchdog)),
        })
    }

    fn obey(&self, order: Order) -> Result<(), Error> {
        let step = match order {
            Order::Create => "initialize",
            Order::Start => "start",
            Order::Crash | Order::Stop => "stop",
        };
        let done = lock(&self.watchdog).obey(order);
        match done.map_err(self.failed(step))? {
            true => Ok(()),
            false => Err(self.server_failed(step)),
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = self.directory.clone();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    fn server_failed(&self, step: &'static str) -> Error {
        Error::Server {
            step,
            directory: self.directory.clone(),
            log: tail(&self.directory.join(LOG)),
        }
    }
}

fn lock(watchdog: &Mutex<Watchdog>) -> std::sync::MutexGuard<'_, Watchdog> {
    // A panic elsewhere has left it as usable as it was.
    watchdog.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
