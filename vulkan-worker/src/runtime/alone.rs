use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Outcome;

use super::assigned::Assigned;
use super::events::Listeners;
use super::execute::{BatchStops, Stops, execute, execute_batch};
use super::recall::Recall;
use super::redact::Redact;
use super::watch::Watched;
use crate::handler::{Batch, Delivery, ErasedHandler};

/// One attempt outside a worker, by the same rules: what a test asks of a handler alone.
///
/// The delay of a retry is the one that the handler picked, if it did: a backoff is the group's.
pub async fn attempt<S: Sync>(
    handler: &ErasedHandler<S>,
    state: &S,
    delivery: &Delivery,
) -> Outcome {
    let handler = assigned(handler, delivery.max_attempts);
    let never = Arc::new(CancellationToken::new());
    let stops = Stops {
        recall: Recall::default(),
        leaving: &never,
        cut: &never,
        left: &OnceLock::new(),
        notice: Duration::MAX,
        watched: &Watched::alone(),
    };
    let call = async || handler.handler.call(delivery, state).await;
    execute(&handler, delivery, call, &stops, &Listeners::default()).await
}

/// One attempt at a batch, in the same way.
pub async fn attempt_batch<S: Sync>(
    handler: &ErasedHandler<S>,
    state: &S,
    batch: &Batch,
) -> Vec<Outcome> {
    let max_attempts = batch.deliveries().map(|delivery| delivery.max_attempts);
    let handler = assigned(handler, max_attempts.max().unwrap_or(1));
    let stops = BatchStops {
        recalls: batch.deliveries().map(|_| Recall::default()).collect(),
        cut: CancellationToken::new(),
        left: &OnceLock::new(),
        notice: Duration::MAX,
        watched: &Watched::alone(),
    };
    let call = async { handler.handler.call_batch(batch, state).await };
    let ends = execute_batch(&handler, batch, call, &stops, &Listeners::default()).await;
    ends.into_iter().map(|(outcome, _)| outcome).collect()
}

/// A handler in no place: `max_attempts` are those of the group, which count where it has none of its own.
fn assigned<S>(handler: &ErasedHandler<S>, max_attempts: u32) -> Assigned<S> {
    let options = handler.options();
    Assigned {
        name: options.name.as_ref().into(),
        kinds: Vec::new(),
        handler: handler.clone(),
        layered: None,
        redact: Redact::default(),
        max_attempts: Some(match options.retries {
            Some(_) => options.max_attempts(),
            None => max_attempts,
        }),
        backoff: None,
        timeout: options.timeout,
        concurrency: 1,
        batch: None,
        priority: 0,
        class: 0,
        gate: None,
    }
}
