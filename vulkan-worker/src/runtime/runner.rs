use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vulkan_core::engine::{Claimed, Outcome};

use super::execute::{Stops, execute};
use super::group::Group;
use super::health::Health;
use super::ledger::{Source, Unit};

/// How long a runner keeps its slot while others wait for one.
const TURN: Duration = Duration::from_millis(10);

/// What all runners of a process share.
pub(super) struct Crew<S> {
    pub(super) state: Arc<S>,
    /// The slots of the process: one for each message in work.
    pub(super) slots: Arc<Semaphore>,
    pub(super) all_slots: usize,
    pub(super) runners: TaskTracker,
    /// Tells all handlers that the worker stops.
    pub(super) leaving: CancellationToken,
    /// Ends all handlers.
    pub(super) cut: CancellationToken,
    /// How long a handler whose message was cancelled may take to end.
    pub(super) notice: Duration,
    pub(super) health: Arc<Health>,
}

impl<S> Clone for Crew<S> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            slots: Arc::clone(&self.slots),
            all_slots: self.all_slots,
            runners: self.runners.clone(),
            leaving: self.leaving.clone(),
            cut: self.cut.clone(),
            notice: self.notice,
            health: Arc::clone(&self.health),
        }
    }
}

impl<S: Send + Sync + 'static> Crew<S> {
    /// Starts a runner for a handler of a group, which the ledger has counted already.
    pub(super) fn start(&self, group: &Arc<Group<S>>, handler: usize) {
        let (crew, group) = (self.clone(), Arc::clone(group));
        self.runners
            .spawn(async move { crew.run(&group, handler).await });
    }

    /// Works until the handler's queue is empty.
    async fn run(&self, group: &Group<S>, handler: usize) {
        let mut slot = self.slot().await;
        let mut turn = Instant::now();
        while let Some(unit) = group.ledger.next(handler) {
            self.unit(group, handler, unit).await;
            if turn.elapsed() > TURN {
                if self.slots.available_permits() == 0 {
                    drop(slot);
                    slot = self.slot().await;
                }
                turn = Instant::now();
            }
        }
        drop(slot);
    }

    async fn slot(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        // Never closed: without a slot there would be no limit, with an error no work.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    async fn unit(&self, group: &Group<S>, handler: usize, unit: Unit) {
        match unit.source {
            Source::Lane { lane, token } => self.lane(group, unit, lane, token).await,
            source => {
                // Held to the end: the permit of a message that came back from a lost lease.
                let Unit { first, _solo, .. } = unit;
                let run = group.ledger.start(first.offset, source);
                let stops = self.stops(run.lost, run.asked);
                let outcome = self.message(group, handler, first, &stops).await;
                group.ledger.end(run.id, outcome);
            }
        }
    }

    /// The messages of one key, one after the other, up to the first that does not end done.
    async fn lane(&self, group: &Group<S>, unit: Unit, lane: i64, token: i64) {
        let Unit {
            first, mut rest, ..
        } = unit;
        let (lost, asked) = group.ledger.lane_stops(lane, token);
        let mut stops = self.stops(lost, asked);
        let mut message = first;
        loop {
            let offset = message.offset;
            let outcome = match group.handler_for(&message.kind) {
                Some(handler) => self.message(group, handler, message, &stops).await,
                None => no_handler(&message.kind),
            };
            let left = rest.len() + 1;
            let next = match (&outcome, rest.pop_front()) {
                (Outcome::Done, Some(next)) => next,
                _ => {
                    return group.ledger.lane_end(lane, token, offset, outcome, left);
                }
            };
            let Some(asked) = group.ledger.lane_next(lane, token, offset, next.offset) else {
                return group
                    .ledger
                    .lane_end(lane, token, next.offset, Outcome::Release, left - 1);
            };
            stops.asked = asked;
            message = next;
        }
    }

    fn stops(&self, lost: CancellationToken, asked: CancellationToken) -> Stops<'_> {
        Stops {
            lost,
            asked,
            leaving: &self.leaving,
            cut: &self.cut,
            notice: self.notice,
            health: &self.health,
        }
    }

    async fn message(
        &self,
        group: &Group<S>,
        handler: usize,
        message: Claimed,
        stops: &Stops<'_>,
    ) -> Outcome {
        let handler = &group.handlers[handler];
        let _permit = handler.gate.acquire().await;
        let delivery = group.delivery(handler, message, stops.leaving.child_token());
        let outcome = execute(handler, &self.state, &delivery, stops).await;
        match &outcome {
            Outcome::Retry { error, .. } => tracing::warn!(
                stream = &*group.stream,
                group = &*group.name,
                handler = &*handler.name,
                offset = delivery.offset,
                kind = delivery.kind,
                attempt = delivery.attempt,
                error,
                "the attempt failed"
            ),
            Outcome::Dead { error } => tracing::error!(
                stream = &*group.stream,
                group = &*group.name,
                handler = &*handler.name,
                offset = delivery.offset,
                kind = delivery.kind,
                attempt = delivery.attempt,
                error,
                "the message is dead"
            ),
            _ => {}
        }
        outcome
    }
}

/// What becomes of a message of a kind that no handler here takes. Another release may have one for it.
pub(super) fn no_handler(kind: &str) -> Outcome {
    Outcome::Retry {
        after: None,
        error: format!("no handler for kind {kind:?}"),
    }
}
