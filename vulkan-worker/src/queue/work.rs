use std::time::Duration;

use serde::de::DeserializeOwned;
use vulkan_core::{Backoff, Client};

use super::{Job, JobWithState, Queue};
use crate::handler::{ByHand, Handler, HandlerOptions, IntoResult};
use crate::runtime::{IntoShutdown, RunError, Worker, WorkerBuilder};

/// A worker of one queue: see [`Queue::work`].
///
/// What is not set here is as for every [`Worker`], and a [`Queue::handler`] can be registered with one.
#[derive(Debug)]
#[must_use = "a worker does nothing until `.run(..)`"]
pub struct QueueWorker<S, H> {
    builder: WorkerBuilder<S>,
    handler: H,
    options: HandlerOptions,
}

impl<T: DeserializeOwned + Send + 'static> Queue<T> {
    /// Works off the queue with an async function of the job, which may return nothing, or a
    /// [`Result`](crate::Result) whose error means: try again.
    ///
    /// Jobs can repeat when a worker dies before it could note the outcome.
    pub fn work<F, R>(&self, client: Client, work: F) -> QueueWorker<(), Job<T, F>>
    where
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Future<Output: IntoResult> + Send,
    {
        QueueWorker {
            builder: Worker::builder(client),
            handler: self.handler(work),
            options: self.options(),
        }
    }

    /// The same with a state, of which each call gets a clone: make it cheap to clone.
    pub fn work_with<F, S, R>(
        &self,
        client: Client,
        state: S,
        work: F,
    ) -> QueueWorker<S, JobWithState<T, F>>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(T, S) -> R + Send + Sync + 'static,
        R: Future<Output: IntoResult> + Send,
    {
        QueueWorker {
            builder: Worker::builder(client).state(state),
            handler: self.handler_with_state(work),
            options: self.options(),
        }
    }
}

impl<S: Send + Sync + 'static, H: Handler<S>> QueueWorker<S, H> {
    /// Sets how many more times a job is tried after its first attempt. Unless set, five.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options = self.options.retries(retries);
        self
    }

    /// Sets how long a failed job waits before its next attempt. Unless set, from two seconds to ten minutes.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options = self.options.backoff(backoff);
        self
    }

    /// Sets how long one attempt may take. Unless set, as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.timeout(timeout);
        self
    }

    /// Sets how late a job is taken over from a worker that died. Unless set, thirty seconds.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options = self.options.lease(lease);
        self
    }

    /// Sets how many jobs the process works on at once. Unless set, 64.
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.builder = self.builder.concurrency(jobs);
        self
    }

    /// Sets how long running jobs may take to finish once the worker is asked to stop. Unless set, 25 seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.builder = self.builder.grace(grace);
        self
    }

    /// Sets anything else of the worker: its version, overrides, middleware, who is told of its events.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_core::Client;
    /// use vulkan_worker::{Queue, RunError, shutdown_signal};
    ///
    /// async fn work(client: Client, mails: Queue<String>) -> Result<(), RunError> {
    ///     let worker = mails.work(client, async |mail| println!("{mail}"));
    ///     worker.with(|worker| worker.version("1.4.0")).run(shutdown_signal()).await
    /// }
    /// ```
    pub fn with(mut self, set: impl FnOnce(WorkerBuilder<S>) -> WorkerBuilder<S>) -> Self {
        self.builder = set(self.builder);
        self
    }

    /// Works until asked to stop, see [`Worker::run`].
    ///
    /// # Errors
    ///
    /// As [`WorkerBuilder::run`].
    ///
    /// # Cancel safety
    ///
    /// As [`Worker::run`].
    pub async fn run(self, shutdown: impl IntoShutdown) -> Result<(), RunError> {
        let options = self.options;
        self.builder
            .register_with::<H, ByHand>(self.handler, |_| options)
            .run(shutdown)
            .await
    }
}
