use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;
use vulkan_core::Client;
use vulkan_core::engine::{Bell, Listening, Look};

use super::events::{DatabaseCall, Listeners, WorkerEvent};
use super::group::Group;
use super::patience::{Patience, jittered};

/// How long the lookout stays armed after the last group went to work: sleepers that are woken many
/// times a second would otherwise hang up and rearm as often.
const LINGER: Duration = Duration::from_millis(100);
/// Delays between looks while publishers are in flight, or another worker holds the latch: doubled
/// from the first to the last.
const SOON: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));
/// The last where messages are due, and only the latch stands between: others hold it for some milliseconds.
const DUE: Duration = Duration::from_millis(16);
/// Between two looks, as long as the bell was armed all the time. A publisher that was in flight when the log was read may
/// have rolled back since, which rings no bell, and what had to wait for it is there now.
const AGAIN: Duration = Duration::from_millis(20);
/// How long it waits for the bell to be armed before it looks anyway.
const ARMING: Duration = Duration::from_millis(50);

/// Wakes the claimers that sleep.
///
/// Claimers never poll for themselves: one look a second, for all groups of the process at once, is
/// all that an idle process costs.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    asleep: Mutex<HashMap<i32, Sleeper>>,
    changed: Notify,
    rung: AtomicBool,
    /// When the bell last rang for each stream.
    rings: Mutex<HashMap<i32, Instant>>,
}

#[derive(Debug)]
struct Sleeper {
    stream_id: i32,
    /// When it last began to read the log to its end.
    at_end: Option<Instant>,
    wake: Arc<Notify>,
    limited: Arc<AtomicBool>,
}

impl Lookout {
    /// Sleeps until there may be something to claim for a group.
    ///
    /// `at_end` says when a claim began that has read the log to its end: as long as the bell was armed all the time since,
    /// there is no hurry to look for more.
    pub(super) async fn idle<S>(&self, group: &Group<S>, at_end: Option<Instant>) {
        self.asleep().insert(
            group.id,
            Sleeper {
                stream_id: group.stream_id,
                at_end,
                wake: Arc::clone(&group.wake),
                limited: Arc::clone(&group.limited),
            },
        );
        // Who was not asleep yet when the bell rang was not woken by it.
        if !at_end.is_some_and(|at| self.rang_since(group.stream_id, at)) {
            self.changed.notify_one();
            group.wake.notified().await;
        }
        self.asleep().remove(&group.id);
    }

    /// Whether the bell has rung since this was last asked.
    pub(super) fn rung(&self) -> bool {
        self.rung.swap(false, Ordering::Relaxed)
    }

    fn rang_since(&self, stream: i32, at: Instant) -> bool {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.get(&stream).is_some_and(|&rang| rang >= at)
    }

    /// A ring is worth a claim without a look.
    fn ring(&self, streams: &BTreeSet<i32>) {
        let now = Instant::now();
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.extend(streams.iter().map(|&stream| (stream, now)));
        drop(rings);
        self.rung.store(true, Ordering::Relaxed);
        self.wake(|_, stream| streams.contains(&stream));
    }

    fn asleep(&self) -> MutexGuard<'_, HashMap<i32, Sleeper>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all of them have read their logs to the end at this moment or later.
    fn are_at_end(&self, since: Instant) -> bool {
        self.asleep()
            .values()
            .all(|sleeper| sleeper.at_end.is_some_and(|at| at >= since))
    }

    fn sleepers(&self) -> Vec<i32> {
        self.asleep().keys().copied().collect()
    }

    /// Wakes the sleepers that are meant, by group and stream.
    fn wake(&self, meant: impl Fn(i32, i32) -> bool) {
        self.asleep().retain(|&group_id, sleeper| {
            let meant = meant(group_id, sleeper.stream_id);
            if meant {
                sleeper.wake.notify_one();
            }
            !meant
        });
    }

    /// Notes which of the sleepers' groups have limits now.
    fn note_limits(&self, looks: &[Look]) {
        let asleep = self.asleep();
        for look in looks {
            if let Some(sleeper) = asleep.get(&look.group_id) {
                sleeper.limited.store(look.limited, Ordering::Relaxed);
            }
        }
    }

    /// Keeps watch until dropped.
    pub(super) async fn watch(
        self: Arc<Self>,
        client: Client,
        bell: Bell,
        poll: Duration,
        listeners: Listeners,
    ) {
        let mut patience = Patience::new();
        let mut soon = SOON.0;
        let mut listening = bell.listening();
        let mut armed_since = None;
        let mut looked = None;
        loop {
            let sleepers = self.sleepers();
            if sleepers.is_empty() {
                listeners.needless(DatabaseCall::Look);
                if timeout(LINGER, self.changed.notified()).await.is_err() {
                    bell.disarm();
                    armed_since = None;
                    self.changed.notified().await;
                }
                continue;
            }
            // Armed first, looked after: what was published before the bell was armed is seen by the
            // look, what is published later rings it.
            bell.arm();
            if listening.has_changed().unwrap_or(true) {
                armed_since = None;
            }
            let _ = timeout(ARMING, listening.wait_for(|now| *now != Listening::Unarmed)).await;
            let armed = *listening.borrow_and_update() == Listening::Armed;
            armed_since = armed.then(|| armed_since.unwrap_or_else(Instant::now));
            if let (Some(since), Some(looked)) = (armed_since, looked)
                && self.are_at_end(since)
                && let Some(rest) = AGAIN.checked_sub(Instant::elapsed(&looked))
            {
                tokio::select! {
                    streams = bell.rung() => self.ring(&streams),
                    () = tokio::time::sleep(rest) => {}
                    () = self.changed.notified() => {}
                }
                continue;
            }
            looked = Some(Instant::now());
            let looks = match client.look(&sleepers).await {
                Ok(looks) => looks,
                Err(error) => {
                    listeners.tell(&WorkerEvent::Trouble {
                        call: DatabaseCall::Look,
                        group: None,
                        error: Some(&error),
                    });
                    // The bell may still tell what cannot be looked for.
                    tokio::select! {
                        streams = bell.rung() => self.ring(&streams),
                        () = tokio::time::sleep(patience.delay()) => {}
                    }
                    continue;
                }
            };
            patience.reset();
            listeners.answered(DatabaseCall::Look, None);
            self.note_limits(&looks);
            self.wake(|group, _| looks.iter().any(|look| look.group_id == group && look.due));
            let due = looks.iter().any(|look| look.due);
            let hasten = due || looks.iter().any(|look| look.pending);
            let rest = match (due, hasten) {
                (true, _) => soon.min(DUE),
                (false, true) => soon,
                (false, false) => rest(&looks, poll),
            };
            soon = if hasten {
                (soon * 2).min(SOON.1)
            } else {
                SOON.0
            };
            tokio::select! {
                streams = bell.rung() => {
                    soon = SOON.0;
                    self.ring(&streams);
                }
                () = tokio::time::sleep(rest) => {}
                // Armed only after the look: what was published in between has not rung.
                Ok(_) = listening.wait_for(|now| *now == Listening::Armed), if !armed => {}
                // Who falls asleep again at once found the latch taken: not a reason to look sooner.
                () = self.changed.notified(), if !hasten => {}
            }
        }
    }
}

/// Until the next poll, or until the first retry or delayed message falls due.
fn rest(looks: &[Look], poll: Duration) -> Duration {
    let next = looks.iter().filter_map(|look| look.next_in).min();
    let poll = jittered(poll);
    next.map_or(poll, |next| next.min(poll))
}
