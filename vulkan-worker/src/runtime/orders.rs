use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vulkan_core::{Client, Error};

use super::events::{DatabaseCall, Listeners, WorkerEvent};
use super::group::{Group, refresh};
use super::lookout::Lookout;
use super::patience::jittered;

/// How often a worker asks for orders while it works.
const ASK: Duration = Duration::from_secs(1);

/// Asks what operators want of this worker, and sees to it, until dropped.
///
/// It asks while something runs, and when the bell has rung. Idle otherwise, a drain comes with the
/// answer to the next sign of life, and there is nothing to cancel.
pub(super) struct Orders<S> {
    pub(super) client: Client,
    pub(super) worker: String,
    pub(super) instance: String,
    pub(super) groups: Vec<Arc<Group<S>>>,
    pub(super) lookout: Arc<Lookout>,
    pub(super) listeners: Listeners,
    /// Asked to drain.
    pub(super) drain: CancellationToken,
}

impl<S> Orders<S> {
    pub(super) async fn heed(self) {
        let ids: Vec<i32> = self.groups.iter().map(|group| group.id).collect();
        loop {
            tokio::time::sleep(jittered(ASK)).await;
            let works = self.groups.iter().any(|group| group.ledger.in_work() > 0);
            if !self.lookout.rung() && !works {
                continue;
            }
            match self
                .client
                .worker_orders(&self.worker, &self.instance, &ids)
                .await
            {
                Ok(orders) => {
                    if orders.drain {
                        self.drain.cancel();
                    }
                    for group in &self.groups {
                        let asked = orders.stops.iter();
                        let asked = asked.filter(|stop| stop.group_id == group.id);
                        group
                            .ledger
                            .cancel(asked.map(|stop| (stop.offset, stop.token)).collect());
                    }
                }
                Err(error) => self.trouble(&error),
            }
            // What is in work has a lease, which may have been shortened: the next sign of life could be too late.
            if works && let Err(error) = refresh(&self.client, &self.groups).await {
                self.trouble(&error);
            }
        }
    }

    fn trouble(&self, error: &Error) {
        self.listeners.tell(&WorkerEvent::Trouble {
            call: DatabaseCall::Orders,
            group: None,
            error: Some(error),
        });
    }
}
