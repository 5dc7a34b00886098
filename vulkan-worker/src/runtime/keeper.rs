use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use vulkan_core::Client;
use vulkan_core::engine::Held;

use super::group::Group;
use super::health::Health;

/// Extends the leases of what is still in work, all groups of the process in one statement, until dropped.
pub(super) async fn keep<S>(client: Client, groups: Vec<Arc<Group<S>>>, health: Arc<Health>) {
    loop {
        // Anew each time: the leases of groups change while they are served.
        let Some(lease) = groups.iter().map(|group| group.lease()).min() else {
            return;
        };
        // Three times a lease: two may fail before it is lost.
        let every = (lease / 3).max(Duration::from_millis(10));
        // A call that gets no answer must not stand in the way of the next.
        let patience = every.max(Duration::from_secs(1));
        tokio::time::sleep(every).await;
        let before = Instant::now().checked_sub(every);
        let held: Vec<Held> = groups
            .iter()
            .flat_map(|group| group.ledger.hold(group.id, before))
            .collect();
        if held.is_empty() {
            continue;
        }
        match timeout(patience, client.extend(&held)).await {
            Ok(Ok(lost)) => {
                for group in &groups {
                    let lost: Vec<Held> = held
                        .iter()
                        .filter(|held| held.group_id == group.id)
                        .filter(|held| {
                            lost.iter().any(|lost| {
                                (lost.group_id, lost.offset, lost.token)
                                    == (held.group_id, held.offset, held.token)
                            })
                        })
                        .copied()
                        .collect();
                    group.ledger.lose(&lost);
                }
            }
            Ok(Err(error)) => {
                health.trouble("cannot extend leases", &error);
                tracing::warn!(%error, "cannot extend leases");
            }
            Err(_) => tracing::warn!("cannot extend leases: no answer yet"),
        }
    }
}
