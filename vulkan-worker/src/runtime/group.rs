use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use vulkan_core::engine::{Claimed, Held, Outcome, Standing};
use vulkan_core::{Client, Error};

use super::assigned::Assigned;
use super::elsewhere::Elsewhere;
use super::events::{Attempt, DatabaseCall, Interruption, Listeners, WorkerEvent};
use super::failures::Failures;
use super::ledger::Ledger;
use super::pace::Pace;
use super::trace::Traces;
use crate::handler::{Cancellation, Checkpoints, Delivery, TxSlot, TxSource};

/// A group that this worker serves, as its tasks share it.
pub(super) struct Group<S> {
    pub(super) id: i32,
    pub(super) stream_id: i32,
    pub(super) stream: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) options: Options,
    pub(super) handlers: Vec<Assigned<S>>,
    pub(super) ledger: Ledger,
    pub(super) listeners: Listeners,
    pub(super) failures: Failures,
    pub(super) traces: Traces,
    pub(super) elsewhere: Elsewhere,
    /// Messages had to be given back unstarted: its claimer takes too much.
    pub(super) late: AtomicBool,
    /// What it has in flight or begins is limited, over all its workers. Operators can change that at any time; looks
    /// say so.
    pub(super) limited: Arc<AtomicBool>,
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

    /// Goes on with the options as they stand now, and tells where they have changed.
    pub(super) fn take_over(&self, standing: &Standing) {
        let attempts = &self.options.max_attempts;
        let attempts = attempts.swap(standing.max_attempts, Ordering::Relaxed);
        let lease = &self.options.lease;
        let lease = lease.swap(micros(standing.lease), Ordering::Relaxed);
        if (attempts, lease) != (standing.max_attempts, micros(standing.lease)) {
            self.listeners.tell(&WorkerEvent::OptionsChanged {
                stream: &self.stream,
                group: &self.name,
                max_attempts: standing.max_attempts,
                lease: standing.lease,
            });
        }
    }

    /// How long a claim stays open at most, and a message waits for a slot.
    ///
    /// A second: what a crash repeats is what began within it. Well within the lease, in any case. With limits a
    /// claim counts whole while it is open, so that one slow message in it keeps room from others.
    pub(super) fn settle_within(&self) -> Duration {
        let most = if self.limited.load(Ordering::Relaxed) {
            Duration::from_millis(200)
        } else {
            Duration::from_secs(1)
        };
        most.min(self.lease() / 3)
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
        cancellation: Cancellation,
        source: &Arc<TxSource>,
        tx: Arc<TxSlot>,
    ) -> Delivery {
        let held = Held {
            group_id: self.id,
            offset: message.offset,
            token: message.token,
            lane: message.lane,
        };
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
            held: Some(held),
            checkpoints: Checkpoints::Saved(Arc::clone(source), held),
            tx,
        }
    }

    /// Tells how an attempt ended, why if it was interrupted, and notes a failure until it is settled.
    pub(super) fn ended(
        &self,
        attempt: Attempt<'_>,
        token: i64,
        outcome: &Outcome,
        interrupted: Interruption,
        took: Duration,
    ) {
        let succeeded = matches!(
            outcome,
            Outcome::Done | Outcome::Progress | Outcome::Running
        );
        // What has lost its lease is not settled.
        if !succeeded && interrupted != Interruption::LeaseLost {
            self.failures.note(&attempt, token);
        }
        let event = match outcome {
            Outcome::Retry { error, .. } | Outcome::Dead { error } => {
                let after = match outcome {
                    Outcome::Retry { after, .. } => *after,
                    _ => None,
                };
                WorkerEvent::Failed {
                    attempt,
                    error,
                    after,
                    last: attempt.number >= attempt.max || matches!(outcome, Outcome::Dead { .. }),
                    took,
                }
            }
            Outcome::Snooze { after } => WorkerEvent::Snoozed {
                attempt,
                after: *after,
                took,
            },
            Outcome::Release => WorkerEvent::Interrupted {
                attempt,
                why: interrupted,
                took,
            },
            Outcome::Done | Outcome::Progress | Outcome::Running => {
                WorkerEvent::Succeeded { attempt, took }
            }
        };
        self.listeners.tell(&event);
    }

    /// A call for this group was answered.
    pub(super) fn answered(&self, call: DatabaseCall) {
        self.listeners
            .answered(call, Some((&self.stream, &self.name)));
    }

    /// Tells that a call for this group failed.
    pub(super) fn trouble(&self, call: DatabaseCall, error: &Error) {
        self.listeners.tell(&WorkerEvent::Trouble {
            call,
            group: Some((&self.stream, &self.name)),
            error: Some(error),
        });
    }

    /// How many messages of the group can be in work at once here.
    pub(super) fn concurrency(&self, slots: usize) -> usize {
        let each = self.handlers.iter().map(|handler| {
            let at_once = handler.concurrency.min(slots);
            at_once.saturating_mul(handler.batch.unwrap_or(1))
        });
        let sum = each.fold(0, usize::saturating_add);
        let batches = self.handlers.iter().filter_map(|handler| handler.batch);
        match batches.max() {
            // Batches fill up from what is claimed at once; beyond that they only hold memory.
            Some(largest) => sum
                .min(slots.saturating_mul(largest))
                .min(Pace::CLAIM.max(largest)),
            None => sum.min(slots),
        }
    }

    /// The class of slots, and the priority, of its handler with the highest.
    pub(super) fn first_class(&self) -> (usize, i32) {
        let first = self.handlers.iter().max_by_key(|handler| handler.priority);
        first.map_or((0, 0), |handler| (handler.class, handler.priority))
    }
}

/// Takes over what the options of groups have become.
pub(super) async fn refresh<S>(client: &Client, groups: &[Arc<Group<S>>]) -> Result<(), Error> {
    let ids: Vec<i32> = groups.iter().map(|group| group.id).collect();
    for standing in client.standings(&ids).await? {
        if let Some(group) = groups.iter().find(|group| group.id == standing.group_id) {
            group.take_over(&standing);
        }
    }
    Ok(())
}
