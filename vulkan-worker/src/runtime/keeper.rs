use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use vulkan_core::engine::Held;
use vulkan_core::{Client, Error};

use super::events::{DatabaseCall, Listeners, WorkerEvent};
use super::group::Group;

/// How often it looks whether a lease was shortened.
const LOOK: Duration = Duration::from_millis(250);

/// Extends the leases of what is still in work, all groups of the process in one statement, until dropped.
pub(super) async fn keep<S>(client: Client, groups: Vec<Arc<Group<S>>>, listeners: Listeners) {
    loop {
        let Some(every) = pause(&groups).await else {
            return;
        };
        // A call that gets no answer must not stand in the way of the next.
        let patience = every.max(Duration::from_secs(1));
        let before = Instant::now().checked_sub(every);
        let held: Vec<Held> = groups
            .iter()
            .flat_map(|group| group.ledger.hold(group.id, before))
            .collect();
        if held.is_empty() {
            // What could not be extended is no longer held.
            listeners.needless(DatabaseCall::Extend);
            continue;
        }
        let asked = Instant::now();
        match timeout(patience, client.extend(&held)).await {
            Ok(Ok(lost)) => {
                listeners.answered(DatabaseCall::Extend, None);
                for group in &groups {
                    let of_group = held
                        .iter()
                        .filter(|held| held.group_id == group.id)
                        .copied();
                    let (lost, kept): (Vec<Held>, Vec<Held>) = of_group.partition(|held| {
                        lost.iter().any(|lost| {
                            (lost.group_id, lost.offset, lost.token)
                                == (held.group_id, held.offset, held.token)
                        })
                    });
                    group.ledger.renew(&kept, asked + group.lease());
                    // What ended while this was asked is no longer anybody's: its report, which crossed, tells.
                    for held in lost.iter().filter(|held| group.ledger.holds(held)) {
                        listeners.tell(&WorkerEvent::LeaseLost {
                            stream: &group.stream,
                            group: &group.name,
                            offset: held.offset,
                        });
                    }
                    group.ledger.lose(&lost);
                }
            }
            Ok(Err(error)) => listeners.tell(&trouble(Some(&error))),
            Err(_) => listeners.tell(&trouble(None)),
        }
    }
}

/// Waits for the next time to extend. Returns how long it is from one to the next; `None` if there is nothing to extend.
async fn pause<S>(groups: &[Arc<Group<S>>]) -> Option<Duration> {
    let since = Instant::now();
    loop {
        // Anew each time: the leases of groups change while they are served, and one that was shortened does not wait.
        let lease = groups.iter().map(|group| group.lease()).min()?;
        // Three times a lease: two may fail before it is lost.
        let every = (lease / 3).max(Duration::from_millis(10));
        let rest = every.saturating_sub(since.elapsed());
        if rest.is_zero() {
            return Some(every);
        }
        tokio::time::sleep(rest.min(LOOK)).await;
    }
}

fn trouble(error: Option<&Error>) -> WorkerEvent<'_> {
    WorkerEvent::Trouble {
        call: DatabaseCall::Extend,
        group: None,
        error,
    }
}
