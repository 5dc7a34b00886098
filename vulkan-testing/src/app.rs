//! A database for one test, and all that a test asks of it.

mod make;
mod publish;
mod template;
mod time;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool};
use vulkan::{Client, Worker, WorkerBuilder};
use vulkan_devpg::TestDatabase;

pub use make::SetUp;

use crate::failure::{OrFail, fail};
use crate::{Drain, Published, TestGroup};

/// How often a worker of a test looks for work: time moved in the database is noticed soon.
const POLL: Duration = Duration::from_millis(50);

/// A database of the test's own with Vulkan in it, dropped with the value.
///
/// The first of a process starts a private PostgreSQL, see [`vulkan_devpg::shared`], and migrates a template; each is then
/// a copy, which takes about a tenth of a second. Any number of tests can run at once.
///
/// # Examples
///
/// ```
/// use vulkan_testing::TestApp;
///
/// # async fn test() {
/// let app = TestApp::new().await;
/// app.client().create_stream("orders").await.unwrap();
/// app.check().await;
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(test());
/// ```
pub struct TestApp {
    client: Client,
    /// With a pool of its own, as a process has it.
    worker: Client,
    /// The offsets that the test knows of.
    known: Mutex<HashSet<i64>>,
    // Dropped in this order.
    database: TestDatabase,
    _template: Arc<TestDatabase>,
}

impl TestApp {
    /// A client on the database, with a pool of up to ten connections.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its pool, for SQL of your own.
    pub fn pool(&self) -> &PgPool {
        self.client.pool()
    }

    /// A URL of the database, for processes of your own.
    pub fn url(&self) -> String {
        self.database.url()
    }

    /// A connection outside the pool.
    #[track_caller]
    pub fn connect(&self) -> impl Future<Output = PgConnection> {
        let at = Location::caller();
        async move {
            PgConnection::connect_with(&self.database.connect_options())
                .await
                .or_fail(at, "no connection to the test's database")
        }
    }

    /// Begins a worker that looks for work often: register handlers with it, and [`drain`](Self::drain) it, or let it
    /// [run](crate::Running) beside the test.
    ///
    /// Any other worker does as well. This one has a pool of its own.
    pub fn worker(&self) -> WorkerBuilder<()> {
        Worker::builder(self.worker.clone()).poll(POLL)
    }

    /// Runs a worker in this process until its groups are idle, and says what it has done.
    ///
    /// Idle is a group in which nothing is in work, and nothing is due or falls due within a second. Schedules that are due
    /// have fired. So retries with a
    /// longer backoff and delayed messages are left waiting: [move time](Self::advance), and drain again. So are messages of a
    /// paused group, and events behind a publisher's transaction that stays open. What handlers
    /// publish to groups of this worker is handled, too.
    ///
    /// # Panics
    ///
    /// When the worker cannot be built or ends with an error, and when its groups are not idle within a minute, see
    /// [`Drain::patience`]: the text says what is left and who has it.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan::{Message, handler};
    /// use vulkan_testing::TestApp;
    ///
    /// #[handler(stream = "orders", group = "audit")]
    /// async fn audit(order: u64) {
    ///     println!("{order}");
    /// }
    ///
    /// # async fn test() -> Result<(), vulkan::Error> {
    /// let app = TestApp::new().await;
    /// for order in 1..=3 {
    ///     app.publish(Message::new("orders", "order.placed", &order)?).await;
    /// }
    /// let report = app.drain(app.worker().register(audit)).await;
    /// assert_eq!(report.done(), 3);
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
    /// ```
    #[track_caller]
    pub fn drain<S: Send + Sync + 'static>(&self, worker: WorkerBuilder<S>) -> Drain<'_, S> {
        Drain::new(self, worker, Location::caller())
    }

    /// The events of a type that were published, to assert something of them.
    #[track_caller]
    pub fn published<E>(&self) -> Published<'_, E>
    where
        E: vulkan::Event + serde::de::DeserializeOwned,
    {
        Published::of_event(self, Location::caller())
    }

    /// The events of a stream, to assert something of them: their payloads read as `T`, such as `serde_json::Value`.
    #[track_caller]
    pub fn published_to<T>(&self, stream: &str) -> Published<'_, T>
    where
        T: serde::de::DeserializeOwned,
    {
        Published::of_stream(self, stream, Location::caller())
    }

    /// A consumer group, to assert something of its messages.
    pub fn group(&self, stream: &str, group: &str) -> TestGroup<'_> {
        TestGroup::new(self, stream, group)
    }

    /// Asserts every invariant of the engine that `vulkan.check()` knows.
    ///
    /// # Panics
    ///
    /// With the violations.
    #[track_caller]
    pub fn check(&self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let violations: Vec<String> = sqlx::query_scalar(include_str!("../queries/check.sql"))
                .fetch_all(self.pool())
                .await
                .or_fail(at, "vulkan.check()");
            if !violations.is_empty() {
                fail(
                    at,
                    format_args!("vulkan.check():\n  {}", violations.join("\n  ")),
                );
            }
        }
    }

    /// The offsets of events that the test has published or asserted.
    pub(crate) fn known(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TestApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApp")
            .field("database", &self.database.name())
            .finish_non_exhaustive()
    }
}
