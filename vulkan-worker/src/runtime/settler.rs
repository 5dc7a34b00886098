use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use vulkan_core::Client;

use super::group::Group;
use super::ledger::Due;
use super::patience::Patience;

/// How often deadlines are looked at while nothing is reported.
const TICK: Duration = Duration::from_millis(200);
/// How long the last settlement may take.
const LAST: Duration = Duration::from_secs(5);

/// Reports what became of the messages of one group, until told to finish.
pub(super) struct Settler<S> {
    pub(super) client: Client,
    pub(super) group: Arc<Group<S>>,
    /// Set to true when nothing is in work any more.
    pub(super) finish: watch::Receiver<bool>,
}

impl<S> Settler<S> {
    /// Returns how many settlements could not be reported.
    pub(super) async fn run(mut self) -> usize {
        while !*self.finish.borrow() {
            tokio::select! {
                () = self.group.ledger.due.notified() => {}
                () = tokio::time::sleep(TICK) => {}
                _ = self.finish.changed() => {}
            }
            let due = self.gather();
            if !due.is_empty() {
                self.settle(&due, None).await;
            }
        }
        let until = Instant::now() + LAST;
        loop {
            let due = self.gather();
            if due.is_empty() {
                return 0;
            }
            if !self.settle(&due, Some(until)).await {
                return due.len();
            }
        }
    }

    fn gather(&self) -> Due {
        let due = self
            .group
            .ledger
            .gather(Instant::now(), self.group.settle_within());
        if due.late > 0 {
            self.group.late.store(true, Ordering::Relaxed);
        }
        due
    }

    /// Tries until it is reported: trying again is safe, since every change is fenced by its token.
    /// With an end, gives up after it; else also once it is told to finish.
    async fn settle(&mut self, due: &Due, until: Option<Instant>) -> bool {
        let mut patience = Patience::new();
        let mut until = until;
        loop {
            match self
                .client
                .settle(self.group.id, due.settlement.clone())
                .await
            {
                Ok(verdicts) => {
                    let stale = self.group.ledger.settled(due, &verdicts);
                    if stale > 0 {
                        tracing::warn!(
                            stream = &*self.group.stream,
                            group = &*self.group.name,
                            stale,
                            "leases were lost before their messages were settled; they are handled again"
                        );
                    }
                    return true;
                }
                Err(error) => {
                    tracing::warn!(stream = &*self.group.stream, group = &*self.group.name, %error, "cannot settle");
                    if *self.finish.borrow() {
                        until.get_or_insert_with(|| Instant::now() + LAST);
                    }
                    if until.is_some_and(|until| Instant::now() >= until) {
                        return false;
                    }
                    tokio::time::sleep(patience.delay()).await;
                }
            }
        }
    }
}
