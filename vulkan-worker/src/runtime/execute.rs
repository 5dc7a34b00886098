use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::{Claimed, Held, Outcome};

use super::assigned::Assigned;
use super::group::Group;
use crate::handler::Delivery;

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
pub(super) async fn execute<S: Sync>(
    group: &Group<S>,
    handler: &Assigned<S>,
    state: &S,
    message: &Claimed,
    stops: &Stops,
) -> Outcome {
    if stops.cut.is_cancelled() {
        return Outcome::Release;
    }
    let token = stops.leaving.child_token();
    let delivery = delivery(group, handler, message, token.clone());
    let attempt = async {
        let call = handler.handler.call(&delivery, state);
        tokio::pin!(call);
        let limit = handler.timeout.unwrap_or(Duration::MAX);
        let answer = tokio::select! {
            biased;
            answer = &mut call => answer,
            () = stops.cut.cancelled() => return Outcome::Release,
            () = wait(handler.timeout) => return handler.retry(message, None, format!("timed out after {limit:?}")),
            () = stops.lost.cancelled() => {
                token.cancel();
                // Whatever it says now is stale; it may still want to tidy up.
                let _ = tokio::time::timeout(NOTICE, call).await;
                return Outcome::Release;
            }
        };
        match answer {
            Ok(()) => Outcome::Done,
            Err(error) => handler.outcome(message, &error),
        }
    };
    match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => handler.retry(message, None, panic_text(&*panic)),
    }
}

async fn wait(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn delivery<S>(
    group: &Group<S>,
    handler: &Assigned<S>,
    message: &Claimed,
    token: CancellationToken,
) -> Delivery {
    let headers = message
        .headers
        .as_ref()
        .and_then(|headers| serde_json::from_str(headers.get()).ok())
        .unwrap_or_default();
    let mut builder = Delivery::builder(message.payload.clone())
        .stream(Arc::clone(&group.stream))
        .group(Arc::clone(&group.name))
        .offset(message.offset)
        .kind(message.kind.clone())
        .attempt(u32::try_from(message.attempt).unwrap_or(1))
        .max_attempts(handler.max_attempts.unwrap_or(group.max_attempts))
        .headers(headers)
        .published_at(message.published_at)
        .cancellation_token(token)
        .held(Held {
            group_id: group.id,
            offset: message.offset,
            token: message.token,
            lane: message.lane,
        });
    if let Some(key) = &message.partition_key {
        builder = builder.key(key.clone());
    }
    builder.build()
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match text {
        Some(text) => format!("panicked: {}", text.replace('\0', "\u{fffd}")),
        None => "panicked".into(),
    }
}
