//! The server that is measured on, and its databases.

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use vulkan::Client;
use vulkan_devpg::{Postgres, TestDatabase};

use crate::Result;
use crate::order::STREAM;

/// As a server of this size would be set up; durable in every respect, as PostgreSQL comes.
const SETTINGS: &[(&str, &str)] = &[
    ("shared_buffers", "1GB"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "300"),
    ("track_io_timing", "on"),
];

/// A server, private unless `DATABASE_URL` names one.
pub(crate) struct Server {
    postgres: Postgres,
}

impl Server {
    pub(crate) async fn start() -> Result<Self> {
        Ok(Self {
            postgres: Postgres::start_with(SETTINGS).await?,
        })
    }

    /// Where the server's data lie, if it runs on this machine and is ours to look at.
    pub(crate) fn directory(&self) -> Option<&std::path::Path> {
        self.postgres.directory()
    }

    pub(crate) async fn version(&self) -> Result<String> {
        let pool = PgPool::connect(&self.postgres.url()).await?;
        let version = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&pool)
            .await?;
        pool.close().await;
        Ok(version)
    }

    /// An empty database, for a peer.
    pub(crate) async fn empty(&self) -> Result<TestDatabase> {
        Ok(self.postgres.create_database().await?)
    }

    /// A database with Vulkan and the stream of all measurements in it.
    pub(crate) async fn database(&self) -> Result<Database> {
        let database = self.postgres.create_database().await?;
        let url = database.url();
        let pool = PgPoolOptions::new()
            .max_connections(64)
            .connect(&url)
            .await?;
        let client = Client::new(pool.clone());
        client.migrate().await?;
        client.create_stream(STREAM).await?;
        Ok(Database {
            _dropped_last: database,
            url,
            pool,
            client,
        })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        Ok(self.postgres.stop().await?)
    }
}

/// A database with Vulkan in it, dropped with the value.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
    pub(crate) client: Client,
    _dropped_last: TestDatabase,
}

impl Database {
    /// Leaves no work of an earlier step to the one that is measured next: hint bits, statistics, dirty pages.
    pub(crate) async fn settle(&self) -> Result<()> {
        for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
            sqlx::query(statement).execute(&self.pool).await?;
        }
        Ok(())
    }
}
