//! Databases that last as long as a value.

use std::thread;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::Error;
use crate::address::Address;
use crate::connect::connect;

/// What our databases' names start with.
pub(crate) const PREFIX: &str = "vulkan_test_";

/// For the server to accept one more connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A database of one's own, dropped with the value.
///
/// Connections still open to it are closed by the server then, so it does not
/// matter whether a pool or the database goes first. Dropping the value waits for the
/// server; [`close`](Self::close) does the same without blocking the thread, and
/// tells of errors.
#[derive(Debug)]
#[must_use = "the database is dropped with the value"]
pub struct TestDatabase {
    name: String,
    address: Address,
    /// The server's maintenance database; `None` once ours is dropped.
    server: Option<Address>,
}

impl TestDatabase {
    /// Creates a database with a name of its own, as a copy of `template` if there is one.
    pub(crate) async fn create(server: &Address, template: Option<&str>) -> Result<Self, Error> {
        // Version 7 begins with the time, by which leftovers are known to be old.
        let name = format!("{PREFIX}{}", Uuid::now_v7().simple());
        let mut connection = connect(server, PATIENCE).await?;
        let mut statement = format!("CREATE DATABASE {}", quoted(&name));
        if let Some(template) = template {
            statement += " TEMPLATE ";
            statement += &quoted(template);
        }
        let created = run(&mut connection, statement).await;
        created.map_err(|source| Error::Database {
            action: "create",
            name: name.clone(),
            source,
        })?;
        let database = Self {
            address: server.with_database(&name),
            name,
            server: Some(server.clone()),
        };
        // It exists; how the goodbye goes is of no interest.
        let _ = connection.close().await;
        Ok(database)
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A URL of the database, with all that is needed to connect, a password included.
    #[must_use]
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// What [`url`](Self::url) says, ready to connect with.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.address.options().clone()
    }

    /// Drops the database, whoever is still connected to it.
    ///
    /// # Errors
    ///
    /// When the server is gone or refuses.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it drops the database as dropping the value does.
    pub async fn close(mut self) -> Result<(), Error> {
        if let Some(server) = &self.server {
            drop_database(server, &self.name).await?;
        }
        self.server = None;
        Ok(())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else {
            return;
        };
        let name = std::mem::take(&mut self.name);
        // We may be on a runtime's thread, which cannot wait for a future. We wait
        // for the thread: at the end of the last test, the process would be gone first.
        let dropping = thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                // A server that is gone has taken the database with it, or
                // will show it to whoever looks; a destructor can do no more.
                let work = drop_database(&server, &name);
                let _ = tokio::time::timeout(PATIENCE, work).await;
            });
            std::io::Result::Ok(())
        });
        if let Ok(dropping) = dropping {
            let _ = dropping.join();
        }
    }
}

async fn drop_database(server: &Address, name: &str) -> Result<(), Error> {
    let mut connection = connect(server, Duration::ZERO).await?;
    let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    let dropped = run(&mut connection, statement).await;
    let _ = connection.close().await;
    dropped.map_err(|source| Error::Database {
        action: "drop",
        name: name.to_owned(),
        source,
    })
}

/// Runs a statement made of fixed words and [`quoted`] names.
pub(crate) async fn run(connection: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}

/// A name as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
