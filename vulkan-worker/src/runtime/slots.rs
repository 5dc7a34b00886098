//! The slots of a process: who works next where there is more work than slots.

mod share;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use share::Share;

/// Below all priorities.
const NOBODY: i64 = i64::MIN;

/// The slots of a process, one for each message in work.
///
/// A free slot goes to a waiter of the highest priority. Among equals it goes to the handler that has had
/// the least time in slots for its weight, so that slow handlers do not crowd out quick ones.
#[derive(Debug)]
pub(super) struct Slots {
    desk: Mutex<Desk>,
    all: usize,
    began: Instant,
    /// The highest priority that waits.
    waiting: watch::Sender<Option<i32>>,
    /// The same for who looks after each message, or [`NOBODY`].
    outranks: AtomicI64,
}

#[derive(Debug)]
struct Desk {
    free: usize,
    classes: Vec<Class>,
}

/// A handler, as the slots see it.
#[derive(Debug)]
struct Class {
    priority: i32,
    share: Share,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    since: u64,
    grant: oneshot::Sender<Slot>,
}

/// The right to work on one message at a time. Dropped, the slot goes to the next in line.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    class: usize,
    priority: i32,
    since: u64,
}

impl Slots {
    /// So many slots, for classes of these priorities and weights; a class is known by its place.
    pub(super) fn new(all: usize, classes: impl IntoIterator<Item = (i32, u32)>) -> Arc<Self> {
        let classes = classes.into_iter().map(|(priority, weight)| Class {
            priority,
            share: Share::new(weight),
            queue: VecDeque::new(),
        });
        Arc::new(Self {
            desk: Mutex::new(Desk {
                free: all,
                classes: classes.collect(),
            }),
            all,
            began: Instant::now(),
            waiting: watch::Sender::new(None),
            outranks: AtomicI64::new(NOBODY),
        })
    }

    /// How many there are.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Waits for a slot.
    pub(super) async fn acquire(self: &Arc<Self>, class: usize) -> Slot {
        loop {
            let turn = self.queue(class);
            self.serve(self.desk());
            // An error would mean that the desk is gone, which we hold.
            if let Ok(slot) = turn.await {
                return slot;
            }
        }
    }

    /// Gives a slot up to whoever has the better right to it, and waits for the next one: that may be the
    /// same. Without anybody waiting it is kept.
    pub(super) async fn take_turns(self: &Arc<Self>, slot: Slot) -> Slot {
        if self.waiting.borrow().is_none() {
            return slot;
        }
        // In line before the slot is free, so that a heavier handler can get it back at once.
        let turn = self.queue(slot.class);
        let class = slot.class;
        drop(slot);
        match turn.await {
            Ok(slot) => slot,
            Err(_) => self.acquire(class).await,
        }
    }

    /// Whether somebody waits whom the holder of a slot should let go first: anybody at the end of its turn, before
    /// that who has a higher priority.
    pub(super) fn are_wanted(&self, slot: &Slot, turn_is_over: impl FnOnce() -> bool) -> bool {
        // Asked between any two messages: the clock is looked at only if somebody waits.
        match self.outranks.load(Ordering::Relaxed) {
            NOBODY => false,
            waits => waits > i64::from(slot.priority) || turn_is_over(),
        }
    }

    /// Waits until it makes sense to claim for a class. What is claimed and finds no slot within the settle bound
    /// is given back, for nothing.
    ///
    /// Nobody of a higher priority waits then; and who holds nothing yet has been in line for a slot.
    pub(super) async fn until_worthwhile(
        self: &Arc<Self>,
        class: usize,
        priority: i32,
        held: usize,
    ) {
        let mut waiting = self.waiting.subscribe();
        // Its sender is ours, and stays.
        let _ = waiting
            .wait_for(|highest| highest.is_none_or(|highest| highest <= priority))
            .await;
        if held == 0 && self.desk().free == 0 {
            drop(self.acquire(class).await);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn queue(self: &Arc<Self>, class: usize) -> oneshot::Receiver<Slot> {
        let (grant, turn) = oneshot::channel();
        let now = self.now();
        self.desk().join(class, Waiter { since: now, grant }, now);
        turn
    }

    /// Hands out what is free.
    fn serve(self: &Arc<Self>, mut desk: MutexGuard<'_, Desk>) {
        let now = self.now();
        let mut grants = Vec::new();
        while desk.free > 0
            && let Some((class, waiter)) = desk.next(now)
        {
            if waiter.grant.is_closed() {
                continue;
            }
            desk.free -= 1;
            desk.classes[class].share.begin(now);
            let slot = Slot {
                slots: Arc::clone(self),
                class,
                priority: desk.classes[class].priority,
                since: now,
            };
            grants.push((waiter.grant, slot));
        }
        let highest = desk.waiting();
        let outranks = highest.map_or(NOBODY, i64::from);
        self.outranks.store(outranks, Ordering::Relaxed);
        self.waiting.send_if_modified(|waiting| {
            let changed = *waiting != highest;
            *waiting = highest;
            changed
        });
        drop(desk);
        // A slot whose waiter has just gone comes straight back, and takes the lock for that.
        for (grant, slot) in grants {
            let _ = grant.send(slot);
        }
    }
}

impl Desk {
    /// Puts a waiter in line. Who comes back from doing nothing has no claim on the time it did not use.
    fn join(&mut self, class: usize, waiter: Waiter, now: u64) {
        let priority = self.classes[class].priority;
        let is_active = |class: &Class| class.share.is_running() || !class.queue.is_empty();
        if !is_active(&self.classes[class]) {
            let least = self
                .classes
                .iter()
                .filter(|other| other.priority == priority && is_active(other))
                .map(|other| other.share.used(now))
                .min();
            self.classes[class].share.catch_up(least.unwrap_or(0));
        }
        self.classes[class].queue.push_back(waiter);
    }

    /// Who has the best right to a slot.
    fn next(&mut self, now: u64) -> Option<(usize, Waiter)> {
        let (class, _) = self
            .classes
            .iter()
            .enumerate()
            .filter_map(|(place, class)| {
                let first = class.queue.front()?;
                let right = (
                    std::cmp::Reverse(class.priority),
                    class.share.used(now),
                    first.since,
                );
                Some((place, right))
            })
            .min_by_key(|&(_, right)| right)?;
        let waiter = self.classes[class].queue.pop_front()?;
        Some((class, waiter))
    }

    fn waiting(&self) -> Option<i32> {
        let waiting = self.classes.iter().filter(|class| !class.queue.is_empty());
        waiting.map(|class| class.priority).max()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let now = self.slots.now();
        let mut desk = self.slots.desk();
        desk.free += 1;
        desk.classes[self.class].share.end(self.since, now);
        self.slots.serve(desk);
    }
}

#[cfg(test)]
mod tests;
