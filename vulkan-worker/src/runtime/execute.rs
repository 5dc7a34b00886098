mod batch;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Outcome;

pub(super) use batch::{BatchStops, execute_batch};

use super::assigned::Assigned;
use super::events::{Attempt, Interruption, Listeners, WorkerEvent};
use crate::handler::{Delivery, HandlerError, Result};

/// How the error of an attempt begins that took too long.
pub(super) const TIMED_OUT: &str = "timed out after";
/// How the error of an attempt begins that panicked.
pub(super) const PANICKED: &str = "panicked";

/// How long a handler whose lease is lost may take to notice, before it is dropped.
const NOTICE: Duration = Duration::from_secs(1);

/// Why a handler is stopped from outside.
#[derive(Debug)]
pub(super) struct Stops {
    /// The lease of this message is lost.
    pub(super) lost: CancellationToken,
    /// The worker stops: a handler may want to end early.
    pub(super) leaving: CancellationToken,
    /// The grace period is over: everything stops.
    pub(super) cut: CancellationToken,
}

/// Runs one attempt: under its timeout, its panics caught. The one place where a user's code is called.
pub(super) async fn execute<S>(
    handler: &Assigned<S>,
    delivery: &Delivery,
    call: impl Future<Output = Result>,
    stops: &Stops,
    listeners: &Listeners,
) -> Outcome {
    if stops.cut.is_cancelled() {
        return Outcome::Release;
    }
    let number = delivery.attempt;
    let attempt = async {
        tokio::pin!(call);
        let limit = handler.timeout.unwrap_or(Duration::MAX);
        let answer = tokio::select! {
            biased;
            answer = &mut call => answer,
            () = stops.cut.cancelled() => return Outcome::Release,
            () = wait(handler.timeout) => return handler.retry(number, &format!("{TIMED_OUT} {limit:?}")),
            () = stops.lost.cancelled() => {
                delivery.cancellation.cancel();
                // Whatever it says now is stale; it may still want to tidy up.
                if tokio::time::timeout(NOTICE, call).await.is_err() {
                    listeners.tell(&WorkerEvent::CancellationIgnored {
                        attempt: Attempt::of(&handler.name, delivery),
                        why: Interruption::LeaseLost,
                        given: NOTICE,
                    });
                }
                return Outcome::Release;
            }
        };
        match answer {
            Ok(()) => match delivery.commit().await {
                Ok(()) => Outcome::Done,
                Err(error) => handler.outcome(number, &error.into()),
            },
            Err(error) => {
                delivery.tx.roll_back().await;
                save_checkpoint(delivery, &error).await;
                handler.outcome(number, &error)
            }
        }
    };
    let outcome = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => handler.retry(number, &panic_text(&*panic)),
    };
    delivery.tx.give_up();
    outcome
}

/// Saves what an error takes along for the next attempt.
async fn save_checkpoint(delivery: &Delivery, error: &HandlerError) {
    let Some(value) = error.checkpoint() else {
        return;
    };
    // What becomes of the message is the error's to say all the same.
    if let Err(error) = delivery.checkpoints.save(value).await {
        tracing::warn!(
            stream = &*delivery.stream,
            group = &*delivery.group,
            offset = delivery.offset,
            %error,
            "the checkpoint of a failed attempt is not saved; the next attempt finds the one before"
        );
    }
}

async fn wait(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match text {
        Some(text) => format!("{PANICKED}: {text}"),
        None => PANICKED.into(),
    }
}
