use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Outcome;

use super::assigned::Assigned;
use super::events::Listeners;
use super::execute::{Stops, execute};
use super::watch::Watch;
use crate::handler::{Delivery, ErasedHandler};

/// One attempt outside a worker, by the same rules: what a test asks of a handler alone.
///
/// The delay of a retry is the one that the handler picked, if it did: a backoff is the group's.
pub async fn attempt<S: Sync>(
    handler: &ErasedHandler<S>,
    state: &S,
    delivery: &Delivery,
) -> Outcome {
    let options = handler.options();
    let handler = Assigned {
        name: options.name.as_ref().into(),
        kinds: Vec::new(),
        handler: handler.clone(),
        max_attempts: Some(match options.retries {
            Some(_) => options.max_attempts(),
            None => delivery.max_attempts,
        }),
        backoff: None,
        timeout: options.timeout,
        concurrency: 1,
        batch: None,
        priority: 0,
        class: 0,
        gate: Arc::new(Semaphore::new(1)),
    };
    let never = CancellationToken::new();
    let stops = Stops {
        lost: CancellationToken::new(),
        asked: CancellationToken::new(),
        leaving: &never,
        cut: &never,
        left: &OnceLock::new(),
        notice: Duration::MAX,
        watch: &Watch::default(),
    };
    execute(&handler, state, delivery, &stops, &Listeners::default()).await
}
