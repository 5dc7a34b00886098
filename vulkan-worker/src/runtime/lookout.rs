use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
}

#[derive(Debug)]
struct Sleeper {
    stream_id: i32,
    wake: Arc<Notify>,
    limited: Arc<AtomicBool>,
}

impl Lookout {
    /// Sleeps until there may be something to claim for a group.
    pub(super) async fn idle<S>(&self, group: &Group<S>) {
        self.asleep().insert(
            group.id,
            Sleeper {
                stream_id: group.stream_id,
                wake: Arc::clone(&group.wake),
                limited: Arc::clone(&group.limited),
            },
        );
        self.changed.notify_one();
        group.wake.notified().await;
        self.asleep().remove(&group.id);
    }

    /// Whether the bell has rung since this was last asked.
    pub(super) fn rung(&self) -> bool {
        self.rung.swap(false, Ordering::Relaxed)
    }

    fn asleep(&self) -> MutexGuard<'_, HashMap<i32, Sleeper>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
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
        loop {
            let sleepers = self.sleepers();
            if sleepers.is_empty() {
                if timeout(LINGER, self.changed.notified()).await.is_err() {
                    bell.disarm();
                    self.changed.notified().await;
                }
                continue;
            }
            // Armed first, looked after: what was published before the bell was armed is seen by the
            // look, what is published later rings it.
            bell.arm();
            let mut listening = bell.listening();
            let _ = timeout(ARMING, listening.wait_for(|now| *now != Listening::Unarmed)).await;
            let armed = *listening.borrow() == Listening::Armed;
            let looks = match client.look(&sleepers).await {
                Ok(looks) => looks,
                Err(error) => {
                    listeners.tell(&WorkerEvent::Trouble {
                        call: DatabaseCall::Look,
                        group: None,
                        error: Some(&error),
                    });
                    tokio::time::sleep(patience.delay()).await;
                    continue;
                }
            };
            patience.reset();
            self.note_limits(&looks);
            self.wake(|group, _| looks.iter().any(|look| look.group_id == group && look.due));
            let hasten = looks.iter().any(|look| look.pending || look.due);
            let rest = if hasten { soon } else { rest(&looks, poll) };
            soon = if hasten {
                (soon * 2).min(SOON.1)
            } else {
                SOON.0
            };
            tokio::select! {
                // A ring is worth a claim without a look.
                streams = bell.rung() => {
                    soon = SOON.0;
                    self.rung.store(true, Ordering::Relaxed);
                    self.wake(|_, stream| streams.contains(&stream));
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
