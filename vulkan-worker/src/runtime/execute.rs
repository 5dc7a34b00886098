mod batch;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Outcome;

pub(super) use batch::{BatchStops, execute_batch};

use super::assigned::Assigned;
use super::ending::Ending;
use super::events::{Attempt, Interruption, Listeners, WorkerEvent};
use super::recall::Recall;
use super::watch::Watched;
use crate::handler::{Delivery, HandlerError, Result};

/// How the error of an attempt begins that took too long.
pub(super) const TIMED_OUT: &str = "timed out after";
/// How the error of an attempt begins that panicked.
pub(super) const PANICKED: &str = "panicked";

/// The error of an attempt at a cancelled message that had to be dropped.
const NO_HEED: &str = "it did not end when it was told to";

/// How long a handler whose lease is lost may take to notice, before it is dropped.
const NOTICE: Duration = Duration::from_secs(1);

/// Why a handler is stopped from outside.
#[derive(Debug)]
pub(super) struct Stops<'a> {
    /// The message is called back.
    pub(super) recall: Recall,
    /// The worker stops: a handler may want to end early.
    pub(super) leaving: &'a Arc<CancellationToken>,
    /// The grace period may be over: everything stops.
    pub(super) ending: &'a Ending,
    /// How long a handler whose message was cancelled may take to end, before it is dropped.
    pub(super) notice: Duration,
    /// Finds out if it blocks its thread.
    pub(super) watched: &'a Watched<'a>,
}

/// What becomes of a message that was cancelled before it began. The database makes it dead, and says why.
pub(super) fn not_begun() -> Outcome {
    Outcome::Retry {
        after: None,
        error: "it had not begun".into(),
    }
}

/// Runs one attempt: under its timeout, its panics caught. The one place where a user's code is called.
pub(super) async fn execute<S>(
    handler: &Assigned<S>,
    delivery: &Delivery,
    call: impl AsyncFnOnce() -> Result,
    stops: &Stops<'_>,
    listeners: &Listeners,
) -> Outcome {
    // Its lease may have been lost while it waited for its turn: then another one has it.
    if stops.ending.is_cut() || stops.recall.is_gone() {
        return Outcome::Release;
    }
    if stops.recall.is_cancelled() {
        return not_begun();
    }
    let number = delivery.attempt;
    let attempt = async {
        let answer = match answer(handler, delivery, call, stops, listeners).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match answer {
            Ok(()) => match delivery.commit().await {
                Ok(()) => Outcome::Done,
                Err(error) => handler.outcome(number, &error.into()),
            },
            Err(error) => {
                // Apart, so that what every message carries along stays small.
                let tidy = async {
                    delivery.tx.roll_back().await;
                    save_checkpoint(delivery, &error).await;
                };
                Box::pin(tidy).await;
                handler.outcome(number, &error)
            }
        }
    };
    let attempt = pin!(attempt);
    let outcome = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => handler.retry(number, &panic_text(&*panic)),
    };
    delivery.tx.give_up();
    outcome
}

/// The handler's answer, or what becomes of the message without one.
async fn answer<S>(
    handler: &Assigned<S>,
    delivery: &Delivery,
    call: impl AsyncFnOnce() -> Result,
    stops: &Stops<'_>,
    listeners: &Listeners,
) -> std::result::Result<Result, Outcome> {
    let number = delivery.attempt;
    let watched = stops.watched;
    let call = pin!(call());
    let mut call = pin!(watched.over(&handler.name, delivery.offset, call));
    let mut limit = pin!(wait(handler.timeout));
    let ignored = |why, given| {
        listeners.tell(&WorkerEvent::CancellationIgnored {
            attempt: Attempt::of(&handler.name, delivery),
            why,
            given,
        });
    };
    let mut asked: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            answer = &mut call => return Ok(answer),
            given = stops.ending.cut_off() => {
                ignored(Interruption::Shutdown, given);
                return Err(Outcome::Release);
            }
            () = &mut limit => {
                // Its own tasks are told; it is dropped at once, since its time is over.
                delivery.cancellation.cancel();
                let limit = handler.timeout.unwrap_or(Duration::MAX);
                return Err(handler.retry(number, &format!("{TIMED_OUT} {limit:?}")));
            }
            () = stops.recall.lost() => {
                delivery.cancellation.cancel();
                // Whatever it says now is stale; it may still want to tidy up.
                if timeout(NOTICE, call).await.is_err() {
                    ignored(Interruption::LeaseLost, NOTICE);
                }
                return Err(Outcome::Release);
            }
            () = stops.recall.cancelled(), if asked.is_none() => {
                delivery.cancellation.cancel();
                asked = Some(Instant::now());
            }
            () = wait(asked.map(|since| stops.notice.saturating_sub(since.elapsed()))) => {
                ignored(Interruption::Cancelled, stops.notice);
                return Err(handler.retry(number, NO_HEED));
            }
        }
    }
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
