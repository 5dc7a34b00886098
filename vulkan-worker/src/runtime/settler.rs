use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use vulkan_core::Client;
use vulkan_core::engine::{Item, Outcome, Settlement, Verdict};

use super::events::{DatabaseCall, WorkerEvent};
use super::group::Group;
use super::ledger::Due;
use super::patience::Patience;

/// How often deadlines are looked at while nothing is reported.
const TICK: Duration = Duration::from_millis(200);

/// How long a claim that is done waits for others to be settled with.
const TOGETHER: Duration = Duration::from_millis(50);

/// After so many refusals that are no passing fault, a settlement is taken apart.
const REFUSALS: u32 = 3;

/// Reports what became of the messages of one group, until told to finish.
pub(super) struct Settler<S> {
    pub(super) client: Client,
    pub(super) group: Arc<Group<S>>,
    /// Set when nothing is in work any more: by then the last settlement must be through.
    pub(super) finish: watch::Receiver<Option<Instant>>,
}

impl<S> Settler<S> {
    /// Returns how many settlements could not be reported.
    pub(super) async fn run(mut self) -> usize {
        let mut unsettled = 0;
        while self.finish.borrow().is_none() {
            tokio::select! {
                () = self.group.ledger.due.notified() => {}
                () = some_done(&self.group) => {}
                () = tokio::time::sleep(TICK) => {}
                _ = self.finish.changed() => {}
            }
            let due = self.gather();
            if !due.is_empty() && !self.settle(&due).await {
                unsettled += due.len();
            }
        }
        loop {
            let due = self.gather();
            if due.is_empty() {
                return unsettled;
            }
            if !self.settle(&due).await {
                return unsettled + due.len();
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
    /// Gives up at the end, if one is set.
    async fn settle(&self, due: &Due) -> bool {
        tokio::select! {
            () = self.report(due) => true,
            () = self.end() => false,
        }
    }

    async fn report(&self, due: &Due) {
        let mut patience = Patience::new();
        let mut refusals = 0;
        let mut unanswered = false;
        loop {
            let asked = Instant::now();
            let span = self.group.traces.settling();
            let settled = self
                .client
                .settle(self.group.id, due.settlement.clone())
                .await;
            span.settled(&due.settlement, due.done, &settled);
            match settled {
                Ok(verdicts) => {
                    self.group.answered(DatabaseCall::Settle);
                    let stale = self.group.ledger.settled(due, &verdicts);
                    // Tried before, it may have got through: what is stale now is then by itself.
                    let stale = if unanswered { 0 } else { stale };
                    self.settled(&due.settlement, &verdicts, stale, asked.elapsed());
                    return;
                }
                Err(error) => {
                    self.group.trouble(DatabaseCall::Settle, &error);
                    refusals += u32::from(!error.is_transient());
                    unanswered |= error.is_transient();
                    if refusals == REFUSALS {
                        return self.report_singly(due).await;
                    }
                    tokio::time::sleep(patience.delay()).await;
                }
            }
        }
    }

    /// One bad item must not hold up the others: what the database refuses by itself, too, is left to
    /// its lease, and handled again when that runs out.
    async fn report_singly(&self, due: &Due) {
        self.group.answered(DatabaseCall::Settle);
        for part in due.settlement.parts() {
            let asked = Instant::now();
            match self.client.settle(self.group.id, part.clone()).await {
                Ok(verdicts) => {
                    let stale = self.group.ledger.settled(due, &verdicts);
                    self.settled(&part, &verdicts, stale, asked.elapsed());
                }
                Err(error) => self.group.listeners.tell(&WorkerEvent::Unsettleable {
                    stream: &self.group.stream,
                    group: &self.group.name,
                    error: &error,
                }),
            }
        }
    }

    /// Tells what the database took.
    fn settled(&self, settlement: &Settlement, verdicts: &[Verdict], stale: usize, took: Duration) {
        // There may be more to claim: room within a limit, the next messages of a key, what was given back. And
        // only who asks anew learns when a retry falls due.
        let more = |item: &Item| {
            let comes_back = matches!(
                item.outcome,
                Outcome::Retry { .. } | Outcome::Snooze { .. } | Outcome::Release
            );
            comes_back || item.lane.is_some()
        };
        if self.group.limited.load(Ordering::Relaxed) || settlement.items.iter().any(more) {
            self.group.wake.notify_one();
        }
        let (stream, group) = (&*self.group.stream, &*self.group.name);
        let listeners = &self.group.listeners;
        listeners.tell(&WorkerEvent::Settled {
            stream,
            group,
            claims: settlement.claims.len(),
            items: settlement.items.len(),
            took,
        });
        let released = |item: &&Item| item.outcome == Outcome::Release;
        let messages = settlement.items.iter().filter(released).count();
        if messages > 0 {
            listeners.tell(&WorkerEvent::Released {
                stream,
                group,
                messages,
            });
        }
        self.group
            .failures
            .settled((stream, group), &settlement.items, verdicts, listeners);
        if stale > 0 {
            listeners.tell(&WorkerEvent::Stale {
                stream,
                group,
                settlements: stale,
            });
        }
    }

    async fn end(&self) {
        let until = match self.finish.clone().wait_for(Option::is_some).await {
            Ok(until) => *until,
            // Whoever says so is gone, and this task with it.
            Err(_) => None,
        };
        match until {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// Waits for claims that are done, and a while for more of them: one settlement does for all. Where there is a limit,
/// it may wait for each.
async fn some_done<S>(group: &Group<S>) {
    group.ledger.done.notified().await;
    if !group.limited.load(Ordering::Relaxed) {
        tokio::time::sleep(TOGETHER).await;
    }
}
