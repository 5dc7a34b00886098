//! A migrated database for each test.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;
use vulkan_devpg::TestDatabase;

use super::{Group, wait::within};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// A copy of the migrated template, with a stream `orders` in it.
pub(crate) struct TestDb {
    pub(crate) pool: PgPool,
    database: TestDatabase,
}

impl TestDb {
    pub(crate) async fn new() -> Self {
        let postgres = vulkan_devpg::shared().await;
        let template = template().await.name();
        let database = postgres.create_database_from(template).await.unwrap();
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect_with(database.connect_options())
            .await
            .unwrap();
        Self { pool, database }
    }

    /// A URL of the database.
    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    /// A connection outside the pool.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.database.connect_options())
            .await
            .unwrap()
    }

    /// A lifecycle group on `orders`, at its beginning, with the default options.
    pub(crate) async fn group(&self, name: &str) -> Group {
        Group::create(&self.pool, name).await
    }

    /// Asserts every invariant that `vulkan.check()` knows.
    pub(crate) async fn check(&self) {
        let violations: Vec<(i32, String, String)> =
            sqlx::query_as("SELECT invariant, consumer_group, detail FROM vulkan.check()")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        assert!(violations.is_empty(), "check(): {violations:#?}");
    }

    /// Runs a statement that gives one value.
    pub(crate) async fn value<T>(&self, sql: &'static str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        sqlx::query_scalar(sql)
            .fetch_one(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Returns when a session of this database waits for a lock of another.
    pub(crate) async fn until_blocked(&self) {
        let blocked = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')";
        within("a session that waits for a lock", async {
            while !self.value::<bool>(blocked).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Runs statements for what they do.
    pub(crate) async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql)
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

async fn template() -> &'static TestDatabase {
    static TEMPLATE: OnceCell<TestDatabase> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let template = vulkan_devpg::shared()
                .await
                .create_database()
                .await
                .unwrap();
            let mut connection = PgConnection::connect_with(&template.connect_options())
                .await
                .unwrap();
            MIGRATIONS.run(&mut connection).await.unwrap();
            sqlx::query("SELECT vulkan.create_stream('orders')")
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
            template
        })
        .await
}
