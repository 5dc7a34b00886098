use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vulkan_core::engine::{Claimed, Outcome};

use super::assigned::Assigned;
use super::events::{Attempt, WorkerEvent};
use super::execute::{Stops, execute};
use super::group::Group;
use super::ledger::{Source, Unit};
use super::slots::Slots;
use crate::handler::{Delivery, Result, TxSource};
use crate::layer::HandlerCall;

/// How long a runner keeps its slot while others wait for one.
const TURN: Duration = Duration::from_millis(10);

/// What all runners of a process share.
pub(super) struct Crew<S> {
    pub(super) state: Arc<S>,
    /// Where the transactions of its handlers begin.
    pub(super) tx: TxSource,
    pub(super) slots: Arc<Slots>,
    pub(super) runners: TaskTracker,
    /// Tells all handlers that the worker stops.
    pub(super) leaving: CancellationToken,
    /// Ends all handlers.
    pub(super) cut: CancellationToken,
}

impl<S> Clone for Crew<S> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            tx: self.tx.clone(),
            slots: Arc::clone(&self.slots),
            runners: self.runners.clone(),
            leaving: self.leaving.clone(),
            cut: self.cut.clone(),
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
        let mut slot = self.slots.acquire(group.handlers[handler].class).await;
        let mut turn = Instant::now();
        while let Some(unit) = group.ledger.next(handler) {
            self.unit(group, handler, unit).await;
            if turn.elapsed() > TURN || self.slots.is_outranked(&slot) {
                slot = self.slots.take_turns(slot).await;
                turn = Instant::now();
            }
        }
        drop(slot);
    }

    async fn unit(&self, group: &Group<S>, handler: usize, unit: Unit) {
        match unit.source {
            Source::Lane { lane, token } => self.lane(group, unit, lane, token).await,
            source => {
                // Held to the end: the permit of a message that came back from a lost lease.
                let Unit { first, _solo, .. } = unit;
                let run = group.ledger.start(first.offset, source);
                let stops = Stops {
                    lost: run.lost,
                    leaving: self.leaving.clone(),
                    cut: self.cut.clone(),
                };
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
        let stops = Stops {
            lost: group.ledger.lane_lost(lane, token),
            leaving: self.leaving.clone(),
            cut: self.cut.clone(),
        };
        let mut message = first;
        loop {
            let offset = message.offset;
            let outcome = match group.handler_for(&message.kind) {
                Some(handler) => self.message(group, handler, message, &stops).await,
                None => no_handler(group, &message),
            };
            let left = rest.len() + 1;
            let next = match (&outcome, rest.pop_front()) {
                (Outcome::Done, Some(next)) => next,
                _ => {
                    return group.ledger.lane_end(lane, token, offset, outcome, left);
                }
            };
            if !group.ledger.lane_next(lane, token, offset, next.offset) {
                return group
                    .ledger
                    .lane_end(lane, token, next.offset, Outcome::Release, left - 1);
            }
            message = next;
        }
    }

    async fn message(
        &self,
        group: &Group<S>,
        handler: usize,
        message: Claimed,
        stops: &Stops,
    ) -> Outcome {
        let handler = &group.handlers[handler];
        let _permit = handler.gate.acquire().await;
        let token = message.token;
        let delivery = group.delivery(handler, message, stops.leaving.child_token(), &self.tx);
        match &handler.layered {
            None => {
                // Within the future, so that a panic before the first await is caught, too.
                let call = async { handler.handler.call(&delivery, &self.state).await };
                attempt(group, handler, &delivery, token, stops, call).await
            }
            Some(layered) => {
                let call = HandlerCall::new(Arc::clone(&handler.name), delivery);
                let answer = layered.answer(call.clone());
                attempt(group, handler, call.delivery(), token, stops, answer).await
            }
        }
    }
}

/// One attempt, told from its beginning to its end.
async fn attempt<S>(
    group: &Group<S>,
    handler: &Assigned<S>,
    delivery: &Delivery,
    token: i64,
    stops: &Stops,
    call: impl Future<Output = Result>,
) -> Outcome {
    let attempt = Attempt::of(&handler.name, delivery);
    group.listeners.tell(&WorkerEvent::Begun { attempt });
    let begun = Instant::now();
    let outcome = execute(handler, delivery, call, stops, &group.listeners).await;
    let lost = stops.lost.is_cancelled();
    group.ended(attempt, token, &outcome, lost, begun.elapsed());
    outcome
}

/// What becomes of a message of a kind that no handler here takes. Another release may have one for it.
pub(super) fn no_handler<S>(group: &Group<S>, message: &Claimed) -> Outcome {
    let attempt = Attempt::unhandled(&group.stream, &group.name, group.max_attempts, message);
    group.failures.note(&attempt, message.token);
    group.listeners.tell(&WorkerEvent::NoHandler { attempt });
    Outcome::Retry {
        after: None,
        error: format!("no handler for kind {:?}", message.kind),
    }
}
