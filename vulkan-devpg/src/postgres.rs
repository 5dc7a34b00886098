//! A running Postgres.

use std::path::Path;
use std::time::Duration;

use sqlx::Connection;

use crate::address::Address;
use crate::cluster::Cluster;
use crate::connect::connect;
use crate::leftovers::drop_leftovers;
use crate::locate::locate;
use crate::{Error, TestDatabase};

/// For a server to come up that was started along with us.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running Postgres: a throw-away cluster of our own, or the server that
/// `DATABASE_URL` names.
///
/// A private cluster goes with the value, or with the process, whichever is
/// first; see the [crate's page](crate) for how. `Debug` never shows a password.
#[derive(Debug)]
#[must_use = "a private cluster goes away with the value"]
pub struct Postgres {
    address: Address,
    /// The cluster, if it is ours.
    cluster: Option<Cluster>,
}

impl Postgres {
    /// The server that `DATABASE_URL` names, or a private cluster where that is
    /// not set or empty.
    ///
    /// A private cluster keeps what it has committed, through a [`crash`](Self::crash)
    /// as through a power cut: it runs as PostgreSQL comes. Tests that only want
    /// to be quick take [`shared`](crate::shared).
    ///
    /// # Errors
    ///
    /// As [`start_private`](Self::start_private); with `DATABASE_URL`, when it is not a Postgres
    /// URL, or when the server behind it does not take a connection within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing behind.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(&[]).await
    }

    /// A private cluster, whatever `DATABASE_URL` says.
    ///
    /// `settings` are names and values as in postgresql.conf; of two with one
    /// name the last wins, and they win over ours. [`FAST`](crate::FAST) is a set of
    /// them. Take it where a test or a benchmark wants settings of its own, or
    /// stops the server.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL and none can be fetched, when no directory
    /// can hold the cluster, and when the server does not start: then the error
    /// holds the end of its log.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing behind.
    pub async fn start_private(settings: &[(&str, &str)]) -> Result<Self, Error> {
        let settings = settings
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let cluster = Cluster::start(locate().await?, settings).await?;
        let address = Address::of_cluster(&cluster.directory)?;
        let started = Self {
            address,
            cluster: Some(cluster),
        };
        started.check().await
    }

    /// As [`start`](Self::start), a private cluster with `settings` as in
    /// [`start_private`](Self::start_private).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing behind.
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self, Error> {
        match std::env::var("DATABASE_URL") {
            Ok(url) if !url.is_empty() => {
                let named = Self {
                    address: Address::parse(&url)?,
                    cluster: None,
                };
                named.check().await
            }
            _ => Self::start_private(settings).await,
        }
    }

    /// A URL of the server's maintenance database, with all that is needed to connect, a
    /// password included.
    ///
    /// For a private cluster that is `postgres` as the superuser `postgres`, over a Unix socket;
    /// otherwise it is `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// Whether this is a cluster of our own.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.cluster.is_some()
    }

    /// The directory of the private cluster's programs (`psql` may be one of
    /// them); `None` for the server of `DATABASE_URL`.
    #[must_use]
    pub fn bin_dir(&self) -> Option<&Path> {
        self.cluster.as_ref().map(|own| own.bin_dir.as_path())
    }

    /// The directory that holds all of the private cluster: its data, its socket
    /// and `server.log`; `None` for the server of `DATABASE_URL`.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.cluster.as_ref().map(|own| own.directory.as_path())
    }

    /// Creates an empty database with a name of its own.
    ///
    /// # Errors
    ///
    /// When the server is gone, or its user may not create databases.
    ///
    /// # Cancel safety
    ///
    /// Cancelled at the wrong moment, it may leave an unused database behind, for as long as
    /// the private cluster lasts.
    pub async fn create_database(&self) -> Result<TestDatabase, Error> {
        TestDatabase::create(&self.address, None).await
    }

    /// Creates a database as a copy of the one named `template`.
    ///
    /// A test suite migrates one database and gives each test a copy, which is
    /// quicker than to migrate each. Any number may be copied at once, but
    /// nobody may be connected to the template meanwhile: close its pool first.
    ///
    /// # Errors
    ///
    /// As [`create_database`](Self::create_database), and when there is no such template, or
    /// somebody is still connected to it after five seconds.
    ///
    /// # Cancel safety
    ///
    /// As [`create_database`](Self::create_database).
    pub async fn create_database_from(&self, template: &str) -> Result<TestDatabase, Error> {
        TestDatabase::create(&self.address, Some(template)).await
    }

    /// Stops a private cluster's server at once, as a crash would, and keeps its files.
    ///
    /// Every connection breaks. [`restart`](Self::restart) goes through recovery.
    ///
    /// # Errors
    ///
    /// [`Error::NotPrivate`] for the server of `DATABASE_URL`.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it still stops the server.
    pub async fn crash(&mut self) -> Result<(), Error> {
        self.own("crash")?.crash().await
    }

    /// Stops a private cluster's server in order, as an operator's restart does (`pg_ctl stop -m fast`), and keeps
    /// its files.
    ///
    /// Open transactions are rolled back and every connection is closed. [`restart`](Self::restart) starts it again.
    ///
    /// # Errors
    ///
    /// [`Error::NotPrivate`] for the server of `DATABASE_URL`, and when the server
    /// does not stop within half a minute, with the end of its log.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it still stops the server.
    pub async fn shut_down(&mut self) -> Result<(), Error> {
        self.own("stop")?.shut_down().await
    }

    /// Starts the server again after a [`crash`](Self::crash) or [`shut_down`](Self::shut_down), at the same URL.
    ///
    /// # Errors
    ///
    /// [`Error::NotPrivate`] for the server of `DATABASE_URL`, and when the
    /// server does not start, with the end of its log.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it still starts the server.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.own("restart")?.restart().await
    }

    /// Stops a private cluster, removes its files and waits until both is done.
    ///
    /// Dropping the value does the same without the wait. The server of
    /// `DATABASE_URL` is left alone.
    ///
    /// # Errors
    ///
    /// When files are left.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it still stops the server and removes the files.
    pub async fn stop(self) -> Result<(), Error> {
        match self.cluster {
            Some(cluster) => cluster.remove().await,
            None => Ok(()),
        }
    }

    fn own(&self, action: &'static str) -> Result<&Cluster, Error> {
        self.cluster.as_ref().ok_or(Error::NotPrivate { action })
    }

    /// Makes sure that the server answers us.
    async fn check(self) -> Result<Self, Error> {
        let mut connection = connect(&self.address, PATIENCE).await?;
        if !self.is_private() {
            drop_leftovers(&mut connection).await;
        }
        let _ = connection.close().await;
        Ok(self)
    }
}
