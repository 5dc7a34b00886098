use std::fmt;

use serde::de::DeserializeOwned;

use super::Queue;
use crate::handler::{Delivery, Handler, HandlerOptions, IntoResult, Result};

/// A handler made of a function of the job: see [`Queue::handler`].
pub struct Job<T, F> {
    queue: Queue<T>,
    work: F,
}

/// A handler made of a function of the job and the worker's state: see [`Queue::handler_with_state`].
pub struct JobWithState<T, F>(Job<T, F>);

impl<T> Queue<T> {
    /// A handler of the queue's jobs, to be registered with a [`Worker`](crate::Worker) beside others.
    ///
    /// For the delivery, a transaction and the like, annotate a function instead:
    /// `#[handler(stream = "emails", group = "emails")]`.
    pub fn handler<F, R>(&self, work: F) -> Job<T, F>
    where
        F: Fn(T) -> R,
    {
        Job { queue: *self, work }
    }

    /// A handler that is given a clone of the worker's state, too.
    pub fn handler_with_state<F, S, R>(&self, work: F) -> JobWithState<T, F>
    where
        F: Fn(T, S) -> R,
    {
        JobWithState(Job { queue: *self, work })
    }
}

impl<S, T, F, R> Handler<S> for Job<T, F>
where
    S: Sync,
    T: DeserializeOwned + Send + 'static,
    F: Fn(T) -> R + Send + Sync + 'static,
    R: Future<Output: IntoResult> + Send,
{
    fn options(&self) -> HandlerOptions {
        self.queue.options()
    }

    async fn call(&self, delivery: &Delivery, _: &S) -> Result {
        let job = delivery.decode()?;
        (self.work)(job).await.into_result()
    }
}

impl<S, T, F, R> Handler<S> for JobWithState<T, F>
where
    S: Clone + Send + Sync,
    T: DeserializeOwned + Send + 'static,
    F: Fn(T, S) -> R + Send + Sync + 'static,
    R: Future<Output: IntoResult> + Send,
{
    fn options(&self) -> HandlerOptions {
        self.0.queue.options()
    }

    async fn call(&self, delivery: &Delivery, state: &S) -> Result {
        let job = delivery.decode()?;
        (self.0.work)(job, state.clone()).await.into_result()
    }
}

impl<T, F> fmt::Debug for Job<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.queue).finish()
    }
}

impl<T, F> fmt::Debug for JobWithState<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobWithState").field(&self.0.queue).finish()
    }
}
