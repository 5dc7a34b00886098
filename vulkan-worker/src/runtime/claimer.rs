use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Claimed;
use vulkan_core::{Client, Error};

use super::elsewhere::REST;
use super::events::{DatabaseCall, WorkerEvent};
use super::group::Group;
use super::ledger::{Source, Unit};
use super::lookout::Lookout;
use super::pace::Pace;
use super::patience::Patience;
use super::runner::{Crew, no_handler};

/// The most that is claimed at once, whatever the concurrency: the engine reckons with multiples of it.
const MOST: usize = 1_000_000;

/// Claims for one group until told to stop.
pub(super) struct Claimer<S> {
    pub(super) client: Client,
    pub(super) worker: Arc<str>,
    pub(super) group: Arc<Group<S>>,
    pub(super) crew: Crew<S>,
    pub(super) lookout: Arc<Lookout>,
    /// The one permit of the process for messages that came back from a lost lease.
    pub(super) solo: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

impl<S: Send + Sync + 'static> Claimer<S> {
    pub(super) async fn run(self) {
        let slots = self.group.concurrency(self.crew.slots.all()).min(MOST);
        let mut pace = Pace::new(slots);
        let mut patience = Patience::new();
        let mut read_to = None;
        let first = self.group.first_class();
        let lanes = i32::try_from(slots).unwrap_or(i32::MAX);
        while !self.stop.is_cancelled() {
            if self.group.late.swap(false, Ordering::Relaxed) {
                pace.too_much();
            }
            let held = self.group.ledger.load();
            let limited = self.group.limited.load(Ordering::Relaxed);
            let room = if limited {
                pace.limited_room(held)
            } else {
                pace.room(held)
            };
            if room == 0 {
                self.unless_stopped(self.group.ledger.room.notified()).await;
                continue;
            }
            let (class, priority) = first;
            let slots = &self.crew.slots;
            let worthwhile = slots.until_worthwhile(class, priority, self.group.ledger.load());
            self.unless_stopped(worthwhile).await;
            if self.stop.is_cancelled() {
                return;
            }
            let solo = Arc::clone(&self.solo).try_acquire_owned().ok();
            let most = i32::try_from(room).unwrap_or(i32::MAX);
            let asked = Instant::now();
            // Not raced against the stop: what is claimed must be given back.
            let span = self.group.traces.claiming();
            let claimed = self
                .claim(most, lanes, solo.is_some(), span.is_written())
                .await;
            span.claimed(&claimed);
            if claimed.is_ok() {
                self.group.answered(DatabaseCall::Claim);
            }
            match claimed {
                Ok(batch) if batch.is_empty() => {
                    patience.reset();
                    drop(solo);
                    self.unless_stopped(self.lookout.idle(&self.group, None))
                        .await;
                }
                Ok(batch) => {
                    patience.reset();
                    let now = Instant::now();
                    pace.claimed(held, room, batch.len(), asked, now);
                    self.group.listeners.tell(&WorkerEvent::Claimed {
                        stream: &self.group.stream,
                        group: &self.group.name,
                        messages: batch.len(),
                        took: now - asked,
                    });
                    let some_of_it = batch.len() < room;
                    let nap = pace.nap(batch.len(), now);
                    let at_end = some_of_it && may_be_the_end(&batch, &mut read_to);
                    let handled = self.hand_out(batch, asked, solo).await;
                    if !handled {
                        self.unless_stopped(tokio::time::sleep(REST)).await;
                    }
                    if limited && some_of_it {
                        // At a limit, most likely: to look is cheaper than to claim in vain, and leaves the latch to others.
                        self.unless_stopped(self.lookout.idle(&self.group, None))
                            .await;
                    } else if at_end {
                        match nap {
                            Some(nap) => self.unless_stopped(tokio::time::sleep(nap)).await,
                            None => {
                                let idle = self.lookout.idle(&self.group, Some(asked));
                                self.unless_stopped(idle).await;
                            }
                        }
                    }
                }
                Err(error) => {
                    self.group.trouble(DatabaseCall::Claim, &error);
                    drop(solo);
                    self.unless_stopped(tokio::time::sleep(patience.delay()))
                        .await;
                }
            }
        }
    }

    async fn claim(
        &self,
        most: i32,
        lanes: i32,
        solo: bool,
        with_past: bool,
    ) -> Result<Vec<Claimed>, Error> {
        let (client, group) = (&self.client, self.group.id);
        if with_past {
            client
                .claim_with_past(group, &self.worker, most, lanes, solo)
                .await
        } else {
            client.claim(group, &self.worker, most, lanes, solo).await
        }
    }

    async fn unless_stopped(&self, wait: impl Future<Output = ()>) {
        tokio::select! {
            () = wait => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Puts a batch that was asked for then into the queues, the messages of a lane as one unit, and starts runners for
    /// it. Returns whether a handler takes any of it.
    async fn hand_out(
        &self,
        batch: Vec<Claimed>,
        asked: Instant,
        mut solo: Option<OwnedSemaphorePermit>,
    ) -> bool {
        let taken = Instant::now();
        // The database counts from a later moment, so that what is over there is over here.
        let until = asked + self.group.lease();
        self.open_claims(&batch, taken);
        let mut runs: HashMap<i64, VecDeque<Claimed>> = HashMap::new();
        let mut unhandled = Vec::new();
        let mut handled = false;
        let mut placed = |first: Claimed, rest: VecDeque<Claimed>| {
            let source = match (first.lane, first.claim_hi) {
                (Some(lane), _) => Source::Lane {
                    lane,
                    token: first.token,
                },
                (None, Some(_)) => Source::Claim(first.token),
                (None, None) => Source::Own(first.token),
            };
            let unit = Unit {
                _solo: if first.solo { solo.take() } else { None },
                first,
                rest,
                source,
                taken,
                until,
            };
            match self.group.handler_for(&unit.first.kind) {
                Some(handler) => {
                    handled = true;
                    Some((handler, unit))
                }
                None => {
                    unhandled.push(unit);
                    None
                }
            }
        };
        let slots = self.crew.slots.all();
        let most = |handler: usize| self.group.handlers[handler].concurrency.min(slots);
        // Straight from the one into the other: a batch is large.
        let single = batch.into_iter().filter_map(|message| match message.lane {
            Some(lane) => {
                runs.entry(lane).or_default().push_back(message);
                None
            }
            None => placed(message, VecDeque::new()),
        });
        let ledger = &self.group.ledger;
        let mut starts = ledger.queue(single, most);
        let runs = runs.into_values();
        let runs = runs.filter_map(|mut run| placed(run.pop_front()?, run));
        starts.extend(ledger.queue(runs, most));
        // Once everything is queued: a runner that takes batches takes what it finds.
        for handler in starts {
            self.crew.start(&self.group, handler);
        }
        for unit in unhandled {
            let outcome = no_handler(&self.group, &unit.first).await;
            ledger.refuse(&unit, outcome);
        }
        handled
    }

    /// Notes the claims of the batch before any message of them can end.
    fn open_claims(&self, batch: &[Claimed], taken: Instant) {
        let claims: HashSet<(i64, i64)> = batch
            .iter()
            .filter_map(|message| Some((message.claim_hi?, message.token)))
            .collect();
        for (hi, token) in claims {
            let of_it = |message: &&Claimed| message.token == token && message.lane.is_none();
            self.group
                .ledger
                .open_claim(hi, token, batch.iter().filter(of_it).count(), taken);
        }
    }
}

/// Whether a claim that gave less than was asked for can have read the log to its end: nothing of it comes from
/// elsewhere, and it was cut neither for its bytes nor for what it had to pass over. `read_to` is where the claim before
/// ended.
fn may_be_the_end(batch: &[Claimed], read_to: &mut Option<i64>) -> bool {
    /// The engine looks at so many events in one claim, at the least.
    const LOOKED_AT: i64 = 10_000;
    /// Half of what it hands out at once, at the most.
    const BYTES: usize = 4 * 1024 * 1024;
    let Some(hi) = batch.iter().filter_map(|message| message.claim_hi).max() else {
        return false;
    };
    let before = read_to.replace(hi);
    let from_the_log = |message: &Claimed| message.lane.is_none() && message.claim_hi.is_some();
    let bytes: usize = batch
        .iter()
        .map(|message| message.payload.get().len())
        .sum();
    before.is_some_and(|before| hi - before < LOOKED_AT)
        && bytes < BYTES
        && batch.iter().all(from_the_log)
}
