mod batch;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vulkan_core::engine::{Claimed, Outcome};

use super::assigned::Assigned;
use super::elsewhere::PAUSE;
use super::ending::Ending;
use super::events::{Attempt, DatabaseCall, Interruption, WorkerEvent};
use super::execute::{Stops, execute};
use super::group::Group;
use super::health::Health;
use super::ledger::{Source, Taken, Unit};
use super::slots::{Slot, Slots};
use super::watch::Watched;
use crate::handler::{Cancellation, Delivery, Result, TxSlot, TxSource};
use crate::layer::HandlerCall;

/// How long a runner keeps its slot while others wait for one.
const TURN: Duration = Duration::from_millis(10);

/// What all runners of a process share.
pub(super) struct Crew<S> {
    pub(super) state: Arc<S>,
    /// Where the transactions of its handlers begin.
    pub(super) tx: Arc<TxSource>,
    pub(super) slots: Arc<Slots>,
    pub(super) runners: TaskTracker,
    /// Tells all handlers that the worker stops.
    pub(super) leaving: Arc<CancellationToken>,
    /// Ends all handlers.
    pub(super) ending: Arc<Ending>,
    /// How long a handler whose message was cancelled may take to end.
    pub(super) notice: Duration,
    pub(super) health: Arc<Health>,
}

/// A runner's slot, and since when it has it.
struct Turn {
    slot: Slot,
    since: Instant,
}

impl Turn {
    fn begin(slot: Slot) -> Self {
        let since = Instant::now();
        Self { slot, since }
    }
}

impl<S> Clone for Crew<S> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            tx: Arc::clone(&self.tx),
            slots: Arc::clone(&self.slots),
            runners: self.runners.clone(),
            leaving: Arc::clone(&self.leaving),
            ending: Arc::clone(&self.ending),
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
    async fn run(&self, group: &Arc<Group<S>>, handler: usize) {
        let Assigned { class, batch, .. } = group.handlers[handler];
        let watched = self.health.watch.over(&group.stream, &group.name);
        let mut turn = Turn::begin(self.slots.acquire(class).await);
        loop {
            match batch {
                None => match group.ledger.next(handler) {
                    Some(taken) => self.unit(group, handler, taken, &turn, &watched).await,
                    None => break,
                },
                Some(most) => match group.ledger.next_batch(handler, most) {
                    batch if batch.is_empty() => break,
                    batch => self.batch(group, handler, batch, &watched).await,
                },
            }
            if self.is_over(&turn) {
                turn = Turn::begin(self.slots.take_turns(turn.slot).await);
            }
        }
    }

    /// Whether somebody waits who should have the slot now.
    fn is_over(&self, turn: &Turn) -> bool {
        self.slots
            .are_wanted(&turn.slot, || turn.since.elapsed() > TURN)
    }

    async fn unit(
        &self,
        group: &Arc<Group<S>>,
        handler: usize,
        taken: Taken,
        turn: &Turn,
        watched: &Watched<'_>,
    ) {
        let Taken { unit, run, recall } = taken;
        let stops = Stops {
            recall,
            leaving: &self.leaving,
            ending: &self.ending,
            notice: self.notice,
            watched,
        };
        match (unit.source, run) {
            (Source::Lane { lane, token }, _) => {
                let of = (handler, turn);
                self.lane(group, unit, (lane, token), of, stops).await;
            }
            (_, Some(run)) => {
                // Held to the end: the permit of a message that came back from a lost lease.
                let Unit { first, _solo, .. } = unit;
                let outcome = self.message(group, handler, first, &stops).await;
                group.ledger.end(run, outcome);
            }
            // What has no lane has a run.
            (_, None) => {}
        }
    }

    /// The messages of one key, one after the other, up to the first that does not end done. The others of the run
    /// wait for their turn like those of other keys when the slot is wanted, or comes to a message that has another
    /// right to one than the handler it was given to, or that goes into a batch.
    async fn lane(
        &self,
        group: &Arc<Group<S>>,
        unit: Unit,
        (lane, token): (i64, i64),
        (owner, turn): (usize, &Turn),
        mut stops: Stops<'_>,
    ) {
        let priority = group.handlers[owner].priority;
        let Unit {
            first, mut rest, ..
        } = unit;
        let mut message = first;
        loop {
            let offset = message.offset;
            let outcome = match group.handler_for(&message.kind) {
                Some(handler) => self.message(group, handler, message, &stops).await,
                None => no_handler(group, &message).await,
            };
            let Some(next) = lane_step(group, (lane, token), offset, outcome, &mut rest) else {
                return;
            };
            match group.handler_for(&next.kind) {
                Some(handler)
                    if group.handlers[handler].batch.is_some()
                        || group.handlers[handler].priority != priority
                        || self.is_over(turn) =>
                {
                    return self.hand_on(group, handler, next, rest);
                }
                _ => {
                    stops.recall = group.ledger.lane_recall(lane, token);
                    message = next;
                }
            }
        }
    }

    /// Goes on with a run after a batch: its next message waits for its turn like others, whoever takes it.
    async fn go_on(&self, group: &Arc<Group<S>>, next: Claimed, mut rest: VecDeque<Claimed>) {
        match group.handler_for(&next.kind) {
            Some(handler) => self.hand_on(group, handler, next, rest),
            None => {
                let outcome = no_handler(group, &next).await;
                let lane = (next.lane.unwrap_or_default(), next.token);
                lane_step(group, lane, next.offset, outcome, &mut rest);
            }
        }
    }

    /// Puts the rest of a run, from `next` on, into the queue of the handler of its next message.
    fn hand_on(
        &self,
        group: &Arc<Group<S>>,
        handler: usize,
        next: Claimed,
        rest: VecDeque<Claimed>,
    ) {
        let (lane, token) = (next.lane.unwrap_or_default(), next.token);
        let unit = Unit {
            first: next,
            rest,
            source: Source::Lane { lane, token },
            taken: Instant::now(),
            until: Instant::now(),
            _solo: None,
        };
        let most = group.handlers[handler].concurrency.min(self.slots.all());
        if group.ledger.hand_on(handler, unit, most) {
            self.start(group, handler);
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
        let _permit = handler.permit().await;
        let (token, again) = (message.token, message.again);
        let tx = Arc::new(TxSlot::new(&self.tx));
        let delivery = group.delivery(
            handler,
            message,
            Cancellation::under(stops.leaving),
            &self.tx,
            tx,
        );
        match &handler.layered {
            None => {
                // Within the future, so that a panic before the first await is caught, too.
                let call = async || handler.handler.call(&delivery, &self.state).await;
                attempt(group, handler, &delivery, (token, again), stops, call).await
            }
            Some(layered) => {
                let delivery = Arc::new(delivery);
                let call = HandlerCall::one(Arc::clone(&handler.name), Arc::clone(&delivery));
                let answer = async || layered.answer(call).await;
                attempt(group, handler, &delivery, (token, again), stops, answer).await
            }
        }
    }
}

/// One attempt, told from its beginning to its end.
async fn attempt<S>(
    group: &Group<S>,
    handler: &Assigned<S>,
    delivery: &Delivery,
    (token, again): (i64, bool),
    stops: &Stops<'_>,
    call: impl AsyncFnOnce() -> Result,
) -> Outcome {
    let attempt = Attempt::of(&handler.name, delivery);
    group.listeners.tell(&WorkerEvent::Begun { attempt });
    let begun = Instant::now();
    let span = group.traces.processing(delivery, again);
    let work = pin!(execute(handler, delivery, call, stops, &group.listeners));
    let outcome = span.around(work).await;
    let why = if stops.recall.is_lost() {
        Interruption::LeaseLost
    } else if stops.recall.is_cancelled() {
        Interruption::Cancelled
    } else {
        Interruption::Shutdown
    };
    span.processed([(&outcome, why)]);
    group.ended(attempt, token, &outcome, why, begun.elapsed());
    outcome
}

/// Notes what became of a message of a run. Returns the one that comes next, if the run goes on.
fn lane_step<S>(
    group: &Group<S>,
    (lane, token): (i64, i64),
    offset: i64,
    outcome: Outcome,
    rest: &mut VecDeque<Claimed>,
) -> Option<Claimed> {
    let left = rest.len() + 1;
    let next = match (&outcome, rest.pop_front()) {
        (Outcome::Done, Some(next)) => next,
        _ => {
            group.ledger.lane_end(lane, token, offset, outcome, left);
            return None;
        }
    };
    if group.ledger.lane_next(lane, token, offset, next.offset) {
        return Some(next);
    }
    let ledger = &group.ledger;
    ledger.lane_end(lane, token, next.offset, Outcome::Release, left - 1);
    None
}

/// What becomes of a message of a kind that no handler here takes. Another release may have one for it: while that is
/// rolled out, the message waits for it.
pub(super) async fn no_handler<S>(group: &Group<S>, message: &Claimed) -> Outcome {
    let (elsewhere, error) = group.elsewhere.takes(&message.kind).await;
    if let Some(error) = error {
        group.trouble(DatabaseCall::Elsewhere, &error);
    }
    let attempt = Attempt::unhandled(&group.stream, &group.name, group.max_attempts(), message);
    group.failures.note(&attempt, message.token);
    group
        .listeners
        .tell(&WorkerEvent::NoHandler { attempt, elsewhere });
    if elsewhere {
        return Outcome::Snooze { after: PAUSE };
    }
    Outcome::Retry {
        after: None,
        error: format!("no handler for kind {:?}", message.kind),
    }
}
