use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::{Claimed, Held, Standing};

use super::assigned::Assigned;
use super::ledger::Ledger;
use crate::handler::Delivery;

/// A group that this worker serves, as its tasks share it.
pub(super) struct Group<S> {
    pub(super) id: i32,
    pub(super) stream_id: i32,
    pub(super) stream: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) options: Options,
    pub(super) handlers: Vec<Assigned<S>>,
    pub(super) ledger: Ledger,
    /// Messages had to be given back unstarted: its claimer takes too much.
    pub(super) late: AtomicBool,
    /// Wakes its claimer: there may be something to claim.
    pub(super) wake: Arc<Notify>,
}

/// The options of a group as they stood when they were last looked at: they change while it is served.
#[derive(Debug)]
pub(super) struct Options {
    max_attempts: AtomicU32,
    /// In microseconds, as Postgres has it.
    lease: AtomicU64,
}

impl Options {
    pub(super) fn new(standing: &Standing) -> Self {
        Self {
            max_attempts: standing.max_attempts.into(),
            lease: micros(standing.lease).into(),
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl<S> Group<S> {
    /// Attempts after which a message is dead.
    pub(super) fn max_attempts(&self) -> u32 {
        self.options.max_attempts.load(Ordering::Relaxed)
    }

    /// How long a message stays with a worker that gives no sign of life.
    pub(super) fn lease(&self) -> Duration {
        Duration::from_micros(self.options.lease.load(Ordering::Relaxed))
    }

    /// Goes on with the options as they stand now.
    pub(super) fn take_over(&self, standing: &Standing) {
        let attempts = &self.options.max_attempts;
        let attempts = attempts.swap(standing.max_attempts, Ordering::Relaxed);
        let lease = &self.options.lease;
        let lease = lease.swap(micros(standing.lease), Ordering::Relaxed);
        if (attempts, lease) != (standing.max_attempts, micros(standing.lease)) {
            tracing::info!(
                stream = &*self.stream,
                group = &*self.name,
                max_attempts = standing.max_attempts,
                lease = ?standing.lease,
                "the options of the group have changed"
            );
        }
    }

    /// How long a claim stays open at most, and a message waits for a slot.
    ///
    /// A second: what a crash repeats is what began within it. Well within the lease, in any case.
    pub(super) fn settle_within(&self) -> Duration {
        Duration::from_secs(1).min(self.lease() / 3)
    }

    /// The handler for messages of a kind, by its place.
    pub(super) fn handler_for(&self, kind: &str) -> Option<usize> {
        self.handlers.iter().position(|handler| handler.takes(kind))
    }

    /// A message as one of the handlers gets it.
    pub(super) fn delivery(
        &self,
        handler: &Assigned<S>,
        message: Claimed,
        cancellation: CancellationToken,
    ) -> Delivery {
        let headers = message
            .headers
            .and_then(|headers| serde_json::from_str(headers.get()).ok());
        Delivery {
            stream: Arc::clone(&self.stream),
            group: Arc::clone(&self.name),
            offset: message.offset,
            kind: message.kind,
            key: message.partition_key,
            attempt: u32::try_from(message.attempt).unwrap_or(1),
            max_attempts: handler.max_attempts.unwrap_or_else(|| self.max_attempts()),
            headers: headers.unwrap_or_default(),
            published_at: message.published_at,
            payload: message.payload,
            cancellation,
            held: Some(Held {
                group_id: self.id,
                offset: message.offset,
                token: message.token,
                lane: message.lane,
            }),
        }
    }

    /// How many messages of the group can be in work at once here.
    pub(super) fn concurrency(&self, slots: usize) -> usize {
        let sum = self
            .handlers
            .iter()
            .map(|handler| handler.concurrency)
            .sum::<usize>();
        sum.min(slots)
    }
}
