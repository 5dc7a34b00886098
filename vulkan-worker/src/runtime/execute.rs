use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Outcome;

use super::assigned::Assigned;
use super::health::{Health, Ignored};
use super::watch::Watched;
use crate::handler::Delivery;

/// How long a handler whose lease is lost may take to notice, before it is dropped.
const NOTICE: Duration = Duration::from_secs(1);

/// Why a handler is stopped from outside.
#[derive(Debug)]
pub(super) struct Stops<'a> {
    /// The lease of this message is lost.
    pub(super) lost: CancellationToken,
    /// Somebody cancelled this message.
    pub(super) asked: CancellationToken,
    /// The worker stops: a handler may want to end early.
    pub(super) leaving: &'a CancellationToken,
    /// The grace period is over: everything stops.
    pub(super) cut: &'a CancellationToken,
    /// How long a handler whose message was cancelled may take to end, before it is dropped.
    pub(super) notice: Duration,
    /// Where a handler is counted that pays no heed.
    pub(super) health: &'a Health,
}

/// Runs one attempt: under its timeout, its panics caught. The one place where a user's code is called.
pub(super) async fn execute<S: Sync>(
    handler: &Assigned<S>,
    state: &S,
    delivery: &Delivery,
    stops: &Stops<'_>,
) -> Outcome {
    if stops.cut.is_cancelled() {
        return Outcome::Release;
    }
    let number = delivery.attempt;
    if stops.asked.is_cancelled() {
        // The database makes it dead, and says why.
        return handler.retry(number, None, "it had not begun".into());
    }
    let watched = Watched::new(
        &delivery.stream,
        &delivery.group,
        &handler.name,
        delivery.offset,
    );
    let attempt = async {
        let call = handler.handler.call(delivery, state);
        let mut call = pin!(stops.health.watch.over(watched, call));
        let mut limit = pin!(wait(handler.timeout));
        let mut told: Option<Told> = None;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut call => break answer,
                () = stops.cut.cancelled() => return Outcome::Release,
                () = &mut limit => {
                    // Its own tasks are told; it is dropped at once, since its time is over.
                    delivery.cancellation.cancel();
                    let limit = handler.timeout.unwrap_or(Duration::MAX);
                    return handler.retry(number, None, format!("timed out after {limit:?}"));
                }
                () = stops.lost.cancelled(), if !told.is_some_and(|told| told.lost) => {
                    delivery.cancellation.cancel();
                    told = Some(Told::now(NOTICE, true));
                }
                () = stops.asked.cancelled(), if told.is_none() => {
                    delivery.cancellation.cancel();
                    told = Some(Told::now(stops.notice, false));
                }
                () = wait(told.map(Told::left)) => {
                    let told = told.unwrap_or(Told::now(NOTICE, true));
                    stops.health.ignored(&Ignored {
                        stream: &delivery.stream,
                        group: &delivery.group,
                        handler: &handler.name,
                        offset: delivery.offset,
                        why: if told.lost { "its lease is lost" } else { "its message was cancelled" },
                        after: told.since.elapsed(),
                    });
                    if told.lost {
                        return Outcome::Release;
                    }
                    return handler.retry(number, None, "it did not end when it was told to".into());
                }
            }
        };
        match answer {
            // Whatever it says now is stale.
            _ if told.is_some_and(|told| told.lost) => Outcome::Release,
            Ok(()) => Outcome::Done,
            Err(error) => handler.outcome(number, &error),
        }
    };
    match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => handler.retry(number, None, panic_text(&*panic)),
    }
}

/// A handler was told to end.
#[derive(Debug, Clone, Copy)]
struct Told {
    since: Instant,
    until: Instant,
    /// Because its lease is lost, so that nothing it says counts.
    lost: bool,
}

impl Told {
    fn now(notice: Duration, lost: bool) -> Self {
        let since = Instant::now();
        // As good as never, where that would be past all time.
        let until = since
            .checked_add(notice)
            .unwrap_or(since + Duration::from_secs(86_400));
        Self { since, until, lost }
    }

    fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
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
        Some(text) => {
            // Text of any size and kind; the database takes no NUL.
            let text = text
                .chars()
                .take(1024)
                .map(|c| if c == '\0' { '\u{fffd}' } else { c });
            format!("panicked: {}", text.collect::<String>())
        }
        None => "panicked".into(),
    }
}
