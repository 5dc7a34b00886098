use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use vulkan_core::engine::Beat;
use vulkan_core::{Client, Error, ServedHandler, WorkerState};

use super::events::{DatabaseCall, Listeners, WorkerEvent};
use super::group::{Group, refresh};
use super::health::Health;
use super::patience::jittered;

/// How often a worker gives a sign of life.
const BEAT: Duration = Duration::from_secs(10);
/// How soon it tells news.
const SOON: Duration = Duration::from_millis(500);

/// Gives signs of life, so that the worker has a row in `vulkan.workers`, and takes what comes back:
/// whether to drain, who else is there, and what the options of its groups have become.
pub(super) struct Pulse<S> {
    pub(super) client: Client,
    pub(super) card: Card,
    pub(super) groups: Vec<Arc<Group<S>>>,
    pub(super) health: Arc<Health>,
    pub(super) listeners: Listeners,
    /// Asked to drain.
    pub(super) drain: CancellationToken,
    /// The worker stops.
    pub(super) leaving: CancellationToken,
    /// Nothing is left to do.
    pub(super) over: CancellationToken,
}

/// What a worker says of itself, and does not change.
#[derive(Debug, Clone)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) instance: String,
    pub(super) host: String,
    pub(super) version: Option<String>,
    pub(super) slots: usize,
    pub(super) handlers: Vec<ServedHandler>,
}

impl<S> Pulse<S> {
    /// Beats until it is over, and takes the row away then.
    pub(super) async fn run(self) {
        let since = Instant::now();
        let mut others = Vec::new();
        loop {
            let leaving = self.leaving.is_cancelled();
            // Run to its end, lest a beat under way brings the row back.
            match self.client.worker_beat(self.beat(since, leaving)).await {
                Ok(answer) => {
                    if answer.drain {
                        self.drain.cancel();
                    }
                    self.hear_of(&mut others, answer.other_versions);
                }
                Err(error) => self.trouble(&error),
            }
            if let Err(error) = refresh(&self.client, &self.groups).await {
                self.trouble(&error);
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(BEAT)) => {}
                () = self.news() => {}
                () = self.leaving.cancelled(), if !leaving => {}
                () = self.over.cancelled() => break,
            }
            if self.over.is_cancelled() {
                break;
            }
        }
        let (name, instance) = (&self.card.name, &self.card.instance);
        if let Err(error) = self.client.worker_gone(name, instance).await {
            // The row goes by itself.
            self.trouble(&error);
        }
    }

    /// Waits for something to tell, and then a little for more of it.
    async fn news(&self) {
        self.health.changed.notified().await;
        tokio::time::sleep(SOON).await;
    }

    fn beat(&self, since: Instant, leaving: bool) -> Beat {
        let in_work: usize = self.groups.iter().map(|group| group.ledger.in_work()).sum();
        Beat {
            worker: self.card.name.clone(),
            instance: self.card.instance.clone(),
            state: if leaving {
                WorkerState::Draining
            } else {
                WorkerState::Running
            },
            version: self.card.version.clone(),
            library: concat!("vulkan-worker ", env!("CARGO_PKG_VERSION")).into(),
            host: self.card.host.clone(),
            pid: std::process::id(),
            uptime: since.elapsed(),
            slots: self.card.slots,
            // Keys whose turn has not come are in work for their group, but in no slot.
            slots_used: in_work.min(self.card.slots),
            group_ids: self.groups.iter().map(|group| group.id).collect(),
            handlers: self.card.handlers.clone(),
            ignored_cancellations: self.health.ignored(),
            stuck_handlers: self.health.watch.stuck(),
            last_error: self.health.last_trouble(),
        }
    }

    fn trouble(&self, error: &Error) {
        self.listeners.tell(&WorkerEvent::Trouble {
            call: DatabaseCall::Beat,
            group: None,
            error: Some(error),
        });
    }

    /// Tells once for each change who else serves these groups.
    fn hear_of(&self, known: &mut Vec<String>, now: Vec<String>) {
        if *known == now {
            return;
        }
        self.listeners.tell(&WorkerEvent::OtherVersions {
            worker: &self.card.name,
            version: self.card.version.as_deref().unwrap_or_default(),
            others: &now,
        });
        *known = now;
    }
}
