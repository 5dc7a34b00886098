//! How a test comes by its database.

use std::future::Future;
use std::panic::Location;
use std::sync::Mutex;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use vulkan::Client;

use super::TestApp;
use super::template::{self, Key};
use crate::failure::{Caller, OrFail};

/// What a set-up of [`TestApp::with_setup`] returns.
pub type SetUp = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl TestApp {
    /// A database with Vulkan's schema and nothing else.
    ///
    /// # Panics
    ///
    /// When there is no PostgreSQL to be had.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may leave an unused database behind, for as long as the private server lasts.
    #[track_caller]
    pub fn new() -> impl Future<Output = Self> {
        Self::made(Key::Bare, async |_| Ok(()), Location::caller())
    }

    /// A database with Vulkan's schema, and then yours.
    ///
    /// They run once in a process, not once a test.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new), and when a migration fails.
    ///
    /// # Cancel safety
    ///
    /// As [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use sqlx::migrate::Migrator;
    /// use vulkan_testing::TestApp;
    ///
    /// // The folder of your migrations; without an argument it is `migrations`.
    /// static MIGRATIONS: Migrator = sqlx::migrate!("tests/it/migrations");
    ///
    /// # async fn test() {
    /// let app = TestApp::with_migrations(&MIGRATIONS).await;
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(test());
    /// ```
    #[track_caller]
    pub fn with_migrations(migrations: &'static Migrator) -> impl Future<Output = Self> {
        Self::made(
            Key::migrations(migrations),
            async move |client: Client| Ok(migrations.run(client.pool()).await?),
            Location::caller(),
        )
    }

    /// A database with Vulkan's schema and all that a function of yours does in it: streams, groups, migrations, a seed.
    ///
    /// It runs once in a process, not once a test. Call it in one place, a function that your tests share: each closure has
    /// a template of its own. It must capture nothing, which is checked when it is compiled.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new), and with the error that the function returns.
    ///
    /// # Cancel safety
    ///
    /// As [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_testing::TestApp;
    ///
    /// async fn app() -> TestApp {
    ///     TestApp::with_setup(async |client| {
    ///         client.create_stream("orders").await?;
    ///         sqlx::raw_sql("CREATE TABLE invoices (order_id bigint PRIMARY KEY)")
    ///             .execute(client.pool())
    ///             .await?;
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(app());
    /// ```
    ///
    /// This one captures:
    ///
    /// ```compile_fail
    /// # use vulkan_testing::TestApp;
    /// # async fn test(stream: &'static str) {
    /// TestApp::with_setup(async move |client| {
    ///     client.create_stream(stream).await?;
    ///     Ok(())
    /// })
    /// .await;
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(test("orders"));
    /// ```
    #[track_caller]
    pub fn with_setup<F>(set_up: F) -> impl Future<Output = Self>
    where
        F: AsyncFn(Client) -> SetUp + 'static,
    {
        // Two closures of one type do the same only if they hold nothing.
        const {
            assert!(
                size_of::<F>() == 0,
                "the set-up of a template captures something, so it may differ from test to test"
            );
        }
        Self::made(Key::of::<F>(), set_up, Location::caller())
    }

    async fn made(key: Key, set_up: impl AsyncFn(Client) -> SetUp, at: Caller) -> Self {
        let template = template::template(key, set_up, at).await;
        let database = vulkan_devpg::shared()
            .await
            .create_database_from(template.name())
            .await
            .or_fail(at, "the test has no database");
        // Told apart from workers' connections, in pg_stat_activity.
        let own = database.connect_options().application_name("test");
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .connect_lazy_with(own);
        let worker = Client::connect(&database.url()).await;
        Self {
            client: Client::new(pool),
            worker: worker.or_fail(at, "the test has no database"),
            known: Mutex::default(),
            database,
            _template: template,
        }
    }
}
