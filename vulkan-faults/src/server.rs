//! The server of a run: a private one, which is stopped, crashed and started as faults want it.

mod standby;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rand::RngExt;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::process::Command;
use vulkan_devpg::{Postgres, TestDatabase};

use crate::Result;

/// As a server of this size would be set up; durable in every respect, as PostgreSQL comes.
const SETTINGS: &[(&str, &str)] = &[
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
    ("max_connections", "150"),
];

/// What is set to harm the others does not hold for the run itself.
const PATIENT: [(&str, &str); 3] = [
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// How the server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// As a crash would.
    Crash,
    /// `pg_ctl stop -m fast`: sessions are told, and everything is written.
    Fast,
}

/// The port of the server, and the end of its socket's name.
pub(crate) const PORT: u16 = 5432;

/// A private server with a database of Vulkan in it.
pub(crate) struct Server {
    postgres: Postgres,
    database: TestDatabase,
    /// The run's own, for questions and for harm; never through what stands between the workers and the server.
    pub(crate) pool: PgPool,
    /// The data of a second server, which has taken over or may.
    standby: Option<PathBuf>,
    address: Option<Ipv4Addr>,
}

/// Where connections go that come through a proxy.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// An address of this machine on which no other server listens: elsewhere than on Linux there are none to choose from.
fn address() -> Option<Ipv4Addr> {
    let part = || rand::rng().random_range(1..255);
    cfg!(target_os = "linux").then(|| Ipv4Addr::new(127, part(), part(), part()))
}

impl Server {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let address = address();
        let listen = address.map_or_else(String::new, |address| address.to_string());
        let listen = [("listen_addresses", listen.as_str())];
        let all: Vec<_> = (SETTINGS.iter().chain(settings).chain(&listen))
            .copied()
            .collect();
        let postgres = Postgres::start_private(&all).await?;
        let database = postgres.create_database().await?;
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect_with(
                database
                    .connect_options()
                    .application_name("faults")
                    .options(PATIENT),
            )
            .await?;
        let server = Self {
            postgres,
            database,
            pool,
            standby: None,
            address,
        };
        vulkan::Client::new(server.pool.clone()).migrate().await?;
        server.run(include_str!("sql/tables.sql")).await?;
        Ok(server)
    }

    /// The URL of its database, on the socket.
    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    pub(crate) fn database(&self) -> &str {
        self.database.name()
    }

    /// The URL of the maintenance database.
    pub(crate) fn maintenance_url(&self) -> String {
        self.postgres.url()
    }

    /// Where connections from outside go, at the server of this port.
    pub(crate) fn target(&self, port: u16) -> Result<Target> {
        Ok(match self.address {
            Some(address) => Target::Tcp((address, port).into()),
            None => Target::Unix(self.directory()?.join(format!(".s.PGSQL.{port}"))),
        })
    }

    /// The URL of its database behind a port of this machine.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{port}/{}?sslmode=disable",
            self.database.name()
        )
    }

    /// Where its socket lies, and its data in `data`.
    pub(crate) fn directory(&self) -> Result<PathBuf> {
        let directory = self
            .postgres
            .directory()
            .ok_or("the server is not private")?;
        Ok(directory.to_owned())
    }

    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let programs = self.postgres.bin_dir().ok_or("the server is not private")?;
        Ok(programs.join(name))
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The one value of a query.
    pub(crate) async fn value<T>(&self, sql: &str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let value = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        Ok(value.fetch_one(&self.pool).await?)
    }

    pub(crate) async fn stop(&mut self, how: Stop) -> Result<()> {
        match how {
            Stop::Crash => Ok(self.postgres.crash().await?),
            Stop::Fast => self.pg_ctl(&["stop", "-m", "fast"]).await,
        }
    }

    /// Starts it again, and returns when it takes connections.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        Ok(self.postgres.restart().await?)
    }

    /// Runs `pg_ctl` as the user of the server.
    pub(crate) async fn pg_ctl(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command("pg_ctl")?;
        command.args(arguments).args(["-s", "-w", "-t", "60", "-D"]);
        command.arg(self.directory()?.join("data"));
        succeed(command).await
    }

    /// A program of PostgreSQL, to run as the user of the server.
    pub(crate) fn command(&self, program: &str) -> Result<Command> {
        let owner = std::fs::metadata(self.directory()?.join("data"))?;
        let mut command = Command::new(self.program(program)?);
        command.current_dir("/").stdin(std::process::Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Ok(command)
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.pool.close().await;
        if let Some(data) = &self.standby {
            let mut stop = self.command("pg_ctl")?;
            stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(data);
            succeed(stop).await?;
        }
        Ok(self.postgres.stop().await?)
    }
}

/// Runs a program to its end.
pub(crate) async fn succeed(mut command: Command) -> Result<()> {
    // Its output could be kept open by what it starts, and then would be read for ever.
    command.stdout(std::process::Stdio::null());
    let status = command.status().await?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?} ended with {status}").into()),
    }
}
