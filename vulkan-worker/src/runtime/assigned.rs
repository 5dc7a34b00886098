use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use vulkan_core::engine::Outcome;
use vulkan_core::{Backoff, KindPattern};

use super::patience::spread;
use crate::handler::{Disposition, ErasedHandler, HandlerError};

/// A handler in its place: what of its group it takes, and its limits.
pub(super) struct Assigned<S> {
    pub(super) name: Arc<str>,
    /// Without any, every kind.
    pub(super) kinds: Vec<KindPattern>,
    pub(super) handler: ErasedHandler<S>,
    /// Its own; `None` leaves it to the group.
    pub(super) max_attempts: Option<u32>,
    pub(super) backoff: Option<Backoff>,
    pub(super) timeout: Option<Duration>,
    pub(super) concurrency: usize,
    /// How many messages it gets at most at once, if it takes batches.
    pub(super) batch: Option<usize>,
    pub(super) priority: i32,
    /// Its place among the classes of the slots.
    pub(super) class: usize,
    /// A permit for each message, or batch, being handled: `concurrency` in all.
    pub(super) gate: Arc<Semaphore>,
}

impl<S> Assigned<S> {
    pub(super) fn takes(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|pattern| pattern.matches(kind))
    }

    /// What becomes of a message whose attempt, that number, ended with this error.
    pub(super) fn outcome(&self, attempt: u32, error: &HandlerError) -> Outcome {
        let text = error.message();
        match error.disposition() {
            Disposition::Retry { after } => self.retry(attempt, after, text),
            Disposition::Snooze { after } => Outcome::Snooze { after },
            Disposition::Dead => Outcome::Dead { error: text },
        }
    }

    /// Another attempt, unless this was the last one that this handler allows.
    pub(super) fn retry(&self, attempt: u32, after: Option<Duration>, error: String) -> Outcome {
        if self.max_attempts.is_some_and(|max| attempt >= max) {
            return Outcome::Dead { error };
        }
        // The group's own backoff is the database's to compute.
        let own = || {
            self.backoff
                .map(|backoff| spread(backoff.delay_after(attempt)).min(backoff.max))
        };
        Outcome::Retry {
            after: after.or_else(own),
            error,
        }
    }
}
