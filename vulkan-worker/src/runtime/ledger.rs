//! What a worker holds of one group at the moment: the state that claimer, runners, settler and
//! keeper share. No database and no async in here, so its rules can be tested by themselves.

mod gather;
mod hold;
mod take;
mod unit;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;
use vulkan_core::engine::{Item, Outcome};

pub(super) use gather::Due;
pub(super) use take::Taken;
use unit::Haste;
pub(super) use unit::{Source, Unit};

use super::recall::Recall;

/// What a worker holds of one group.
#[derive(Debug)]
pub(super) struct Ledger {
    held: Mutex<Book>,
    /// Something can be settled that others may wait for.
    pub(super) due: Notify,
    /// A claim is done, all of it at the first attempt: nobody learns anything new by its settlement.
    pub(super) done: Notify,
    /// Something was finished: there may be room for more.
    pub(super) room: Notify,
}

#[derive(Debug, Default)]
struct Book {
    /// Units that wait for a runner, by the place of their handler.
    queues: Vec<VecDeque<Unit>>,
    /// Runners under way, by the place of their handler.
    runners: Vec<usize>,
    /// Open claims, by token.
    claims: HashMap<i64, OpenClaim>,
    /// Lanes held, by lane and token.
    lanes: HashMap<(i64, i64), HeldLane>,
    /// Messages in work, by a number of our own: an offset can be in work twice, once by a zombie.
    running: Slab<Running>,
    /// Ready to be settled.
    items: Vec<Item>,
    /// Messages held: queued and in work.
    messages: usize,
    /// Units held: queued and in work.
    units: usize,
    /// Nothing is started any more; what is queued goes back.
    closed: bool,
    /// Messages that were cancelled, by offset and token, whoever has them.
    cancelled: HashSet<(i64, i64)>,
}

#[derive(Debug)]
struct OpenClaim {
    hi: i64,
    taken: Instant,
    /// Its unkeyed messages.
    messages: usize,
    /// Those that are queued or in work.
    outstanding: usize,
    /// What it has to say beyond "done".
    items: Vec<Item>,
}

#[derive(Debug)]
struct HeldLane {
    /// The message that is in work, or comes next.
    at: i64,
    /// The run is done up to here, if it is anywhere.
    done: Option<i64>,
    reported: Instant,
    lost: bool,
    /// Of the message in work, or the one that comes next.
    recall: Recall,
}

#[derive(Debug)]
struct Running {
    offset: i64,
    source: Source,
    recall: Recall,
}

impl Ledger {
    pub(super) fn new(handlers: usize) -> Self {
        Self {
            held: Mutex::new(Book {
                queues: (0..handlers).map(|_| VecDeque::new()).collect(),
                runners: vec![0; handlers],
                ..Book::default()
            }),
            due: Notify::new(),
            done: Notify::new(),
            room: Notify::new(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic while it was held would be a bug of ours; the book is consistent at every step.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is held, queued and in work. A run of a key keeps one slot busy, however long it is,
    /// and must not keep other keys from the other slots.
    pub(super) fn load(&self) -> usize {
        let book = self.book();
        book.units.max(book.messages / LONG_RUN)
    }

    /// How many messages are in work. Once closed, nothing else is held.
    pub(super) fn in_work(&self) -> usize {
        let book = self.book();
        book.running.len() + book.lanes.len()
    }

    /// Notes a claim with that many unkeyed messages, before its units are queued.
    pub(super) fn open_claim(&self, hi: i64, token: i64, unkeyed: usize, taken: Instant) {
        let claim = OpenClaim {
            hi,
            taken,
            messages: unkeyed,
            outstanding: unkeyed,
            items: Vec::new(),
        };
        self.book().claims.insert(token, claim);
        if unkeyed == 0 {
            self.due.notify_one();
        }
    }

    /// Queues units for their handlers, all in one go: runners that take units meanwhile would wait for each. Returns
    /// the handlers that want a runner more, each so often, which are then counted.
    pub(super) fn queue(
        &self,
        units: impl IntoIterator<Item = (usize, Unit)>,
        most_runners: impl Fn(usize) -> usize,
    ) -> Vec<usize> {
        let mut book = self.book();
        let mut starts = Vec::new();
        for (handler, unit) in units {
            book.queue(handler, unit);
            if book.wants_runner(handler, most_runners(handler)) {
                starts.push(handler);
            }
        }
        starts
    }

    /// Notes what becomes of a unit that is not handled here.
    pub(super) fn refuse(&self, unit: &Unit, outcome: Outcome) {
        self.book().say(unit.first.offset, unit.source, outcome);
        self.due.notify_one();
    }

    /// Notes what became of a message that was started.
    pub(super) fn end(&self, run: usize, outcome: Outcome) {
        let mut book = self.book();
        let Some(ended) = book.running.try_remove(run) else {
            return;
        };
        book.messages -= 1;
        book.units -= 1;
        let due = if ended.recall.is_lost() {
            None
        } else {
            book.say(ended.offset, ended.source, outcome)
        };
        drop(book);
        self.room.notify_one();
        match due {
            Some(Haste::Due) => self.due.notify_one(),
            Some(Haste::Done) => self.done.notify_one(),
            None => {}
        }
    }

    /// Notes that a message of a run is done and which one comes next. Returns whether to go on with it.
    pub(super) fn lane_next(&self, lane: i64, token: i64, done: i64, next: i64) -> bool {
        let mut book = self.book();
        book.messages -= 1;
        let Some(recall) = book
            .lanes
            .get(&(lane, token))
            .map(|held| held.recall.next())
        else {
            return false;
        };
        book.note_cancelled(next, token, &recall);
        let closed = book.closed;
        let Some(held) = book.lanes.get_mut(&(lane, token)) else {
            return false;
        };
        held.done = Some(done);
        held.at = next;
        held.recall = recall;
        !closed && !held.lost
    }

    /// How the message in work of a run is called back.
    pub(super) fn lane_recall(&self, lane: i64, token: i64) -> Recall {
        let book = self.book();
        let held = book.lanes.get(&(lane, token));
        held.map(|held| held.recall.clone()).unwrap_or_default()
    }

    /// Notes how a run ended, at which message, with so many of its messages left, that one included.
    pub(super) fn lane_end(
        &self,
        lane: i64,
        token: i64,
        offset: i64,
        outcome: Outcome,
        left: usize,
    ) {
        let mut book = self.book();
        book.messages -= left;
        book.units -= 1;
        let held = book.lanes.remove(&(lane, token));
        if held.is_some_and(|held| !held.lost) {
            book.items.push(Item {
                offset,
                token,
                lane: Some(lane),
                outcome,
            });
        }
        drop(book);
        self.room.notify_one();
        self.due.notify_one();
    }

    /// Starts nothing more: what is queued is given back.
    pub(super) fn close(&self) {
        let mut book = self.book();
        book.closed = true;
        book.give_back(None);
        drop(book);
        self.due.notify_one();
    }
}

impl Book {
    /// Calls a message back that comes to be in work, if it was cancelled before.
    fn note_cancelled(&self, offset: i64, token: i64, recall: &Recall) {
        if !self.cancelled.is_empty() && self.cancelled.contains(&(offset, token)) {
            recall.cancel();
        }
    }

    fn queue(&mut self, handler: usize, unit: Unit) {
        self.messages += 1 + unit.rest.len();
        self.units += 1;
        if let Source::Lane { lane, token } = unit.source {
            let recall = Recall::at(unit.until);
            self.note_cancelled(unit.first.offset, token, &recall);
            let held = HeldLane {
                at: unit.first.offset,
                done: None,
                reported: unit.taken,
                lost: false,
                recall,
            };
            self.lanes.insert((lane, token), held);
        }
        self.queues[handler].push_back(unit);
    }

    /// Counts another runner of a handler, unless it has enough. Returns whether it did.
    fn wants_runner(&mut self, handler: usize, most: usize) -> bool {
        let more = self.runners[handler] < most;
        if more {
            self.runners[handler] += 1;
        }
        more
    }

    /// Puts an outcome where it will be settled from. Returns whether something is due by that.
    fn say(&mut self, offset: i64, source: Source, outcome: Outcome) -> Option<Haste> {
        let done = outcome == Outcome::Done;
        let item = |token, lane| Item {
            offset,
            token,
            lane,
            outcome,
        };
        match source {
            Source::Claim(token) => {
                let claim = self.claims.get_mut(&token)?;
                claim.outstanding -= 1;
                if !done {
                    claim.items.push(item(token, None));
                }
                match claim.outstanding {
                    0 if claim.items.is_empty() => Some(Haste::Done),
                    0 => Some(Haste::Due),
                    _ => None,
                }
            }
            Source::Own(token) => {
                self.items.push(item(token, None));
                Some(Haste::Due)
            }
            Source::Lane { lane, token } => {
                self.lanes.remove(&(lane, token));
                self.items.push(item(token, Some(lane)));
                Some(Haste::Due)
            }
        }
    }

    /// Gives back what waits in the queues, or only what waits since before a moment. Returns how much.
    fn give_back(&mut self, taken_before: Option<Instant>) -> usize {
        let mut messages = 0;
        for place in 0..self.queues.len() {
            // The oldest stand in front.
            while let Some(unit) = self.queues[place].front()
                && taken_before.is_none_or(|moment| unit.taken <= moment)
            {
                let (offset, source) = (unit.first.offset, unit.source);
                messages += 1 + unit.rest.len();
                self.units -= 1;
                self.queues[place].pop_front();
                self.say(offset, source, Outcome::Release);
            }
        }
        self.messages -= messages;
        messages
    }
}

/// A run of more messages than this counts for more than one message in [`Ledger::load`]: what is held
/// takes memory.
const LONG_RUN: usize = 16;
/// How long a run may go on without its progress being reported: what a crash repeats of it.
const REPORT_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
