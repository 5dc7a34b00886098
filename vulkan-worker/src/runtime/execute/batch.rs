use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Outcome;

use super::{NO_HEED, NOTICE, TIMED_OUT, panic_text, save_checkpoint, wait};
use crate::handler::{Batch, Disposition, HandlerError, Result, TxError};
use crate::runtime::assigned::Assigned;
use crate::runtime::events::{Attempt, Interruption, Listeners, WorkerEvent};
use crate::runtime::recall::Recall;
use crate::runtime::watch::Watched;

/// Why a handler of a batch is stopped from outside.
#[derive(Debug)]
pub(in crate::runtime) struct BatchStops<'a> {
    /// The message in that place is called back.
    pub(in crate::runtime) recalls: Vec<Recall>,
    /// The grace period is over: everything stops.
    pub(in crate::runtime) cut: CancellationToken,
    /// When the worker began to stop.
    pub(in crate::runtime) left: &'a OnceLock<Instant>,
    /// How long a handler may take to end whose messages are all cancelled, before it is dropped.
    pub(in crate::runtime) notice: Duration,
    /// Finds out if it blocks its thread.
    pub(in crate::runtime) watched: &'a Watched<'a>,
}

/// How the handler of a batch ended, for all messages that have not failed by themselves.
enum End {
    Done,
    Failed(HandlerError),
    /// It was not asked, or gave no answer.
    Text(String),
    Interrupted(Interruption),
}

/// Runs one attempt at a batch: under its timeout, its panics caught. Returns what becomes of each message, and what
/// interrupted those that go back.
pub(in crate::runtime) async fn execute_batch<S>(
    handler: &Assigned<S>,
    batch: &Batch,
    call: impl Future<Output = Result>,
    stops: &BatchStops<'_>,
    listeners: &Listeners,
) -> Vec<(Outcome, Interruption)> {
    let attempt = attempt(handler, batch, call, stops, listeners);
    let end = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(end) => end,
        Err(panic) => End::Text(panic_text(&*panic)),
    };
    batch.give_up();
    let failures = batch.take_failures();
    let mut own = failures.iter().peekable();
    for (place, delivery) in batch.deliveries().enumerate() {
        match (own.next_if(|(failed, _)| *failed == place), &end) {
            (Some((_, error)), _) | (None, End::Failed(error)) => {
                save_checkpoint(delivery, error).await;
            }
            _ => {}
        }
    }
    let mut failures = failures.into_iter().peekable();
    let all = batch.deliveries().zip(&stops.recalls).enumerate();
    all.map(|(place, (delivery, recall))| {
        let number = delivery.attempt;
        let own = failures.next_if(|(failed, _)| *failed == place);
        let outcome = match (own, &end) {
            (Some((_, error)), _) => handler.outcome(number, &error),
            (None, End::Done) => Outcome::Done,
            // It may be the fault of another one: each is judged alone.
            (None, End::Failed(error))
                if batch.len() > 1 && error.disposition() == Disposition::Dead =>
            {
                handler.retry_error(number, error)
            }
            (None, End::Failed(error)) => handler.outcome(number, error),
            (None, End::Text(text)) => handler.retry(number, text),
            (None, End::Interrupted(_)) => Outcome::Release,
        };
        let why = match end {
            _ if recall.is_lost() => Interruption::LeaseLost,
            End::Interrupted(why) => why,
            _ => Interruption::Shutdown,
        };
        (outcome, why)
    })
    .collect()
}

async fn attempt<S>(
    handler: &Assigned<S>,
    batch: &Batch,
    call: impl Future<Output = Result>,
    stops: &BatchStops<'_>,
    listeners: &Listeners,
) -> End {
    if stops.cut.is_cancelled() {
        return End::Interrupted(Interruption::Shutdown);
    }
    // Each delivery is told of its own lease; only without any there is nothing left to do.
    let all_lost = join_all(batch.deliveries().zip(&stops.recalls).map(
        |(delivery, recall)| async move {
            recall.lost().await;
            delivery.cancellation.cancel();
        },
    ));
    // Told, too, is each whose message is cancelled: the others go on, so only if all are is the batch dropped for it.
    let all_cancelled = join_all(batch.deliveries().zip(&stops.recalls).map(
        |(delivery, recall)| async move {
            recall.cancelled().await;
            delivery.cancellation.cancel();
            tokio::time::sleep(stops.notice).await;
            listeners.tell(&WorkerEvent::CancellationIgnored {
                attempt: Attempt::of(&handler.name, delivery),
                why: Interruption::Cancelled,
                given: stops.notice,
            });
        },
    ));
    let call = watched(handler, batch, stops, call);
    tokio::pin!(call);
    let ignored = |why, given| {
        for delivery in batch.deliveries() {
            listeners.tell(&WorkerEvent::CancellationIgnored {
                attempt: Attempt::of(&handler.name, delivery),
                why,
                given,
            });
        }
    };
    let answer = tokio::select! {
        biased;
        answer = &mut call => answer,
        () = stops.cut.cancelled() => {
            let given = stops.left.get().map(Instant::elapsed);
            ignored(Interruption::Shutdown, given.unwrap_or_default());
            return End::Interrupted(Interruption::Shutdown);
        }
        () = wait(handler.timeout) => {
            // The handler's own tasks are told; it is dropped at once, since its time is over.
            for delivery in batch.deliveries() {
                delivery.cancellation.cancel();
            }
            let limit = handler.timeout.unwrap_or(Duration::MAX);
            return End::Text(format!("{TIMED_OUT} {limit:?}"));
        }
        _ = all_cancelled => return End::Text(NO_HEED.into()),
        _ = all_lost => {
            if tokio::time::timeout(NOTICE, &mut call).await.is_err() {
                ignored(Interruption::LeaseLost, NOTICE);
            }
            return End::Interrupted(Interruption::LeaseLost);
        }
    };
    if let Err(error) = answer {
        batch.roll_back().await;
        return End::Failed(error);
    }
    match batch.commit().await {
        Ok(()) => End::Done,
        // Of one of them; the others are not to blame.
        Err(TxError::Stale(_)) if batch.len() > 1 => End::Interrupted(Interruption::RolledBack),
        Err(error) => End::Failed(error.into()),
    }
}

/// The handler's future, watched by the first message of the batch.
async fn watched<S, T>(
    handler: &Assigned<S>,
    batch: &Batch,
    stops: &BatchStops<'_>,
    call: impl Future<Output = T>,
) -> T {
    match batch.deliveries().next() {
        Some(first) => {
            let watched = stops.watched;
            watched.over(&handler.name, first.offset, call).await
        }
        None => call.await,
    }
}
