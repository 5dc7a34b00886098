//! A migrated database for each test.

use std::ops::Deref;
use std::time::Duration;

use sqlx::postgres::PgPool;
use vulkan_testing::{TestApp, within};

use super::Group;

/// A [`TestApp`] with a stream `orders`, and what tests of the engine ask of it besides.
pub(crate) struct TestDb {
    pub(crate) pool: PgPool,
    app: TestApp,
}

impl TestDb {
    pub(crate) async fn new() -> Self {
        let app = TestApp::with_setup(async |client| {
            client.create_stream("orders").await?;
            Ok(())
        })
        .await;
        let pool = app.pool().clone();
        Self { pool, app }
    }

    /// A lifecycle group on `orders`, at its beginning, with the default options.
    pub(crate) async fn group(&self, name: &str) -> Group {
        Group::create(&self.pool, name).await
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

    /// The SQLSTATE with which a statement is refused.
    pub(crate) async fn code(&self, sql: &'static str) -> String {
        let error = sqlx::query(sql).execute(&self.pool).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code());
        code.unwrap_or_else(|| panic!("{sql}: {error}"))
            .into_owned()
    }

    /// Runs statements for what they do.
    pub(crate) async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql)
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

impl Deref for TestDb {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}
