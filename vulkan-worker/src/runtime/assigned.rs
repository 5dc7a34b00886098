use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use vulkan_core::engine::Outcome;
use vulkan_core::{Backoff, KindPattern};

use super::patience::spread;
use super::redact::Redact;
use crate::handler::{Disposition, ErasedHandler, HandlerError};
use crate::layer::HandlerService;

/// A handler in its place: what of its group it takes, and its limits.
pub(super) struct Assigned<S> {
    pub(super) name: Arc<str>,
    /// Without any, every kind.
    pub(super) kinds: Vec<KindPattern>,
    pub(super) handler: ErasedHandler<S>,
    /// What the texts of its errors go through.
    pub(super) redact: Redact,
    /// The same with its layers, if it has any.
    pub(super) layered: Option<HandlerService>,
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
    /// A permit for each message, or batch, being handled: `concurrency` in all. None where the slots of the process
    /// are no more than that.
    pub(super) gate: Option<Arc<Semaphore>>,
}

impl<S> Assigned<S> {
    /// The right to handle a message, or a batch.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.gate.as_ref()?.acquire().await.ok()
    }

    pub(super) fn takes(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|pattern| pattern.matches(kind))
    }

    /// What becomes of a message whose attempt, that number, ended with this error.
    pub(super) fn outcome(&self, attempt: u32, error: &HandlerError) -> Outcome {
        let text = self.redact.error(error);
        match error.disposition() {
            Disposition::Retry { after } => self.again(attempt, after, text),
            Disposition::Snooze { after } => Outcome::Snooze { after },
            Disposition::Dead => Outcome::Dead { error: text },
        }
    }

    /// Another attempt after an error, whatever the error asks for.
    pub(super) fn retry_error(&self, attempt: u32, error: &HandlerError) -> Outcome {
        self.again(attempt, None, self.redact.error(error))
    }

    /// Another attempt after something that is no error of the handler's.
    pub(super) fn retry(&self, attempt: u32, text: &str) -> Outcome {
        self.again(attempt, None, self.redact.text(text))
    }

    /// Another attempt, unless this was the last one that this handler allows.
    fn again(&self, attempt: u32, after: Option<Duration>, error: String) -> Outcome {
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
