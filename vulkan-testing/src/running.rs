//! A worker beside the test.

use std::future::Future;
use std::panic::Location;

use tokio_util::task::AbortOnDropHandle;
use vulkan::{RunError, Shutdown, Worker, WorkerBuilder};

use crate::within;

/// A worker that runs beside the test, until it is stopped or dropped.
///
/// Most tests want [`TestApp::drain`](crate::TestApp::drain). This one is for what happens while a worker works. Dropped, it
/// stops at once, as a process that is killed: what its handlers have begun keeps its lease.
///
/// # Examples
///
/// ```
/// use vulkan::{Message, handler};
/// use vulkan_testing::{Running, TestApp, until};
///
/// #[handler(stream = "orders", group = "audit")]
/// async fn audit(order: u64) {
///     println!("{order}");
/// }
///
/// # async fn test() -> Result<(), vulkan::Error> {
/// let app = TestApp::new().await;
/// let running = Running::start(app.worker().register(audit));
/// let offset = app.publish(Message::new("orders", "order.placed", &7)?).await;
/// let orders = app.group("orders", "audit");
/// until("the order to be handled", async || orders.is_done(offset).await).await;
/// running.stop().await.unwrap();
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a worker stops when it is dropped"]
pub struct Running {
    shutdown: Shutdown,
    task: AbortOnDropHandle<Result<(), RunError>>,
}

impl Running {
    /// Starts a worker in a task of its own.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn start<S: Send + Sync + 'static>(worker: WorkerBuilder<S>) -> Self {
        Self::with(|shutdown| worker.run(shutdown))
    }

    pub(crate) fn of<S: Send + Sync + 'static>(worker: Worker<S>) -> Self {
        Self::with(|shutdown| worker.run(shutdown))
    }

    fn with<F>(run: impl FnOnce(Shutdown) -> F) -> Self
    where
        F: Future<Output = Result<(), RunError>> + Send + 'static,
    {
        let shutdown = Shutdown::new();
        let task = AbortOnDropHandle::new(tokio::spawn(run(shutdown.clone())));
        Self { shutdown, task }
    }

    /// What stops it.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    ///
    /// How it ended, see [`RunError`].
    ///
    /// # Panics
    ///
    /// When it does not stop within thirty seconds.
    #[track_caller]
    pub fn stop(mut self) -> impl Future<Output = Result<(), RunError>> {
        self.shutdown.stop();
        let at = Location::caller();
        async move { self.end(at).await }
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// How it ended, see [`RunError`].
    ///
    /// # Panics
    ///
    /// When it does not end within thirty seconds.
    #[track_caller]
    pub fn ended(&mut self) -> impl Future<Output = Result<(), RunError>> {
        let at = Location::caller();
        async move { self.end(at).await }
    }

    async fn end(&mut self, at: crate::failure::Caller) -> Result<(), RunError> {
        let what = format!("the worker to end (asked at {at})");
        match within(&what, &mut self.task).await {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Ok(()),
            },
        }
    }
}
