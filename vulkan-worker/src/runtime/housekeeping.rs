use std::sync::Arc;
use std::time::Duration;

use vulkan_core::Client;

use super::events::{DatabaseCall, Listeners, WorkerEvent};
use super::group::Group;
use super::patience::jittered;

/// How often a worker looks after the log: partitions ahead, slots, dedup ids.
const MAINTAIN: Duration = Duration::from_secs(30);
/// How far back a look for lost leases goes, most of the time.
const LOOK_BACK: Duration = Duration::from_secs(120);
/// The lease that a worker of no group reckons with.
const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// One look in so many goes back to the beginning.
const THOROUGH: u32 = 12;

/// Gives back what lost leases hold, of all groups, whoever lost them. Every worker does it, none is
/// elected: nobody stands alone on the way to recovery.
pub(super) async fn reap<S>(client: Client, groups: Vec<Arc<Group<S>>>, listeners: Listeners) {
    let mut round = 0_u32;
    loop {
        let shortest = groups.iter().map(|group| group.lease()).min();
        let every = (shortest.unwrap_or(DEFAULT_LEASE) / 5)
            .clamp(Duration::from_millis(200), Duration::from_secs(5));
        let look_back = (!round.is_multiple_of(THOROUGH)).then_some(LOOK_BACK);
        match client.reap(look_back).await {
            Ok(reaped) => {
                listeners.answered(DatabaseCall::Reap, None);
                round = round.wrapping_add(1);
                if reaped != vulkan_core::engine::Reaped::default() {
                    let many = |count| usize::try_from(count).unwrap_or(0);
                    listeners.tell(&WorkerEvent::Reaped {
                        claims: many(reaped.claims),
                        messages: many(reaped.exceptions),
                        lanes: many(reaped.lanes),
                    });
                }
            }
            // The next look is thorough: while the database was away, leases ran out.
            Err(error) => {
                round = 0;
                listeners.tell(&WorkerEvent::Trouble {
                    call: DatabaseCall::Reap,
                    group: None,
                    error: Some(&error),
                });
            }
        }
        tokio::time::sleep(jittered(every)).await;
    }
}

/// Looks after the log.
pub(super) async fn maintain(client: Client, listeners: Listeners) {
    loop {
        if let Err(error) = client.maintain().await {
            listeners.tell(&WorkerEvent::Trouble {
                call: DatabaseCall::Maintain,
                group: None,
                error: Some(&error),
            });
        }
        tokio::time::sleep(jittered(MAINTAIN)).await;
    }
}
