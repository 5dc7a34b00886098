use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Notify;
use vulkan_core::engine::Claimed;

use super::assigned::Assigned;
use super::ledger::Ledger;

/// A group that this worker serves, as its tasks share it.
pub(super) struct Group<S> {
    pub(super) id: i32,
    pub(super) stream_id: i32,
    pub(super) stream: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) max_attempts: u32,
    pub(super) lease: Duration,
    pub(super) handlers: Vec<Assigned<S>>,
    pub(super) ledger: Ledger,
    /// Messages had to be given back unstarted: its claimer takes too much.
    pub(super) late: AtomicBool,
    /// Wakes its claimer: there may be something to claim.
    pub(super) wake: Arc<Notify>,
}

impl<S> Group<S> {
    /// How long a claim stays open at most, and a message waits for a slot.
    ///
    /// A second: what a crash repeats is what began within it. Well within the lease, in any case.
    pub(super) fn settle_within(&self) -> Duration {
        Duration::from_secs(1).min(self.lease / 3)
    }

    /// The handler for a message, by its place.
    pub(super) fn handler_for(&self, message: &Claimed) -> Option<usize> {
        self.handlers
            .iter()
            .position(|handler| handler.takes(&message.kind))
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
