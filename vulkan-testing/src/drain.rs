//! Running handlers until nothing is left to do.

mod idle;
mod report;
mod watch;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, Instant};

use vulkan::WorkerBuilder;

pub use report::{Drained, DrainedGroup};

use crate::failure::{Caller, Chain, fail};
use crate::group::TestMessage;
use crate::{Running, TestApp};
use idle::{Look, Pending};
use watch::Watch;

/// How long a drain goes on, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
/// What falls due so soon is waited for, unless told otherwise: the worker would handle it while the test looks on.
const SOON: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A drain about to begin: it runs when it is awaited. Made by [`TestApp::drain`].
#[must_use = "a drain does nothing unless it is awaited"]
pub struct Drain<'a, S> {
    app: &'a TestApp,
    worker: WorkerBuilder<S>,
    at: Caller,
    patience: Duration,
    soon: Duration,
}

impl<'a, S: Send + Sync + 'static> Drain<'a, S> {
    pub(crate) fn new(app: &'a TestApp, worker: WorkerBuilder<S>, at: Caller) -> Self {
        Self {
            app,
            worker,
            at,
            patience: PATIENCE,
            soon: SOON,
        }
    }

    /// Sets how long the drain may take before it fails the test: a minute, unless set.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how far ahead a retry or a delay may lie that is waited for in real time: a second, unless set.
    pub fn waiting_for(mut self, soon: Duration) -> Self {
        self.soon = soon;
        self
    }

    async fn run(self) -> Drained {
        let Self {
            app,
            worker,
            at,
            patience,
            soon,
        } = self;
        let watch = Watch::default();
        let worker = match watch.over(worker).build() {
            Ok(worker) => worker,
            Err(error) => fail(at, error),
        };
        let groups: Vec<(String, String)> = worker
            .groups()
            .map(|(stream, group)| (stream.to_owned(), group.to_owned()))
            .collect();
        let before = messages(app, &groups, at).await;
        let mut running = Running::of(worker);
        let begun = Instant::now();
        let mut pending = Pending::default();
        loop {
            if running.is_over() {
                // Nobody has asked it to.
                match running.ended().await {
                    Ok(()) => fail(at, "the worker ended by itself during the drain"),
                    Err(error) => fail(
                        at,
                        format_args!("the worker ended during the drain: {}", Chain(&error)),
                    ),
                }
            }
            let looks = Look::at(app, &groups, at).await;
            if watch.has_started() && idle::all_idle(&looks, soon, &mut pending) {
                break;
            }
            if begun.elapsed() > patience {
                let left = report::left(&messages(app, &groups, at).await, &groups);
                let why = idle::reasons(&looks, soon);
                fail(
                    at,
                    format_args!("not idle after {patience:?}:\n{why}{left}"),
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
        if let Err(error) = running.stop().await {
            fail(
                at,
                format_args!("the worker did not end cleanly: {}", Chain(&error)),
            );
        }
        let after = messages(app, &groups, at).await;
        Drained::between(groups, &before, &after, &watch.begun())
    }
}

/// The messages of these groups, in their order.
async fn messages(app: &TestApp, groups: &[(String, String)], at: Caller) -> Vec<Vec<TestMessage>> {
    let mut all = Vec::with_capacity(groups.len());
    for (stream, group) in groups {
        all.push(TestMessage::all(app, stream, group, at).await);
    }
    all
}

impl<'a, S: Send + Sync + 'static> IntoFuture for Drain<'a, S> {
    type Output = Drained;
    type IntoFuture = Pin<Box<dyn Future<Output = Drained> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<S> fmt::Debug for Drain<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("worker", &self.worker)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
