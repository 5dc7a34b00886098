use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use vulkan_core::engine::Bell;
use vulkan_core::{Client, Schedule};

use super::claimer::Claimer;
use super::ending::CutOnDrop;
use super::error::RunError;
use super::events::{Listeners, WorkerEvent};
use super::group::Group;
use super::health::Health;
use super::housekeeping;
use super::keeper;
use super::lookout::Lookout;
use super::orders::Orders;
use super::pulse::Pulse;
use super::readiness::Readiness;
use super::redact::Redact;
use super::registry::Served;
use super::runner::Crew;
use super::scheduler;
use super::settler::Settler;
use super::shutdown::{IntoShutdown, Shutdown};
use super::slots::Slots;
use crate::handler::TxSource;
use crate::layer::Stack;

mod served;
mod set_up;

/// How long handlers that were dropped may take to be gone.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the last settlements may take.
const LAST_REPORT: Duration = Duration::from_secs(5);

/// A process's share in working off the messages of some groups.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Delivery, Handler, HandlerOptions, Result, Shutdown, Worker};
///
/// struct Audit;
///
/// impl<S: Sync> Handler<S> for Audit {
///     fn options(&self) -> HandlerOptions {
///         HandlerOptions::new("orders", "audit")
///     }
///
///     async fn call(&self, delivery: &Delivery, _: &S) -> Result {
///         println!("{}", delivery.payload());
///         Ok(())
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = vulkan_devpg::shared().await.create_database().await?;
/// # let client = vulkan_core::Client::connect(&database.url()).await?;
/// # client.migrate().await?;
/// let shutdown = Shutdown::new();
/// # shutdown.stop();
/// // In a program: `.run(vulkan::shutdown_signal())`.
/// Worker::builder(client).register(Audit).run(shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker does nothing until `.run(..)`"]
pub struct Worker<S> {
    client: Client,
    state: Arc<S>,
    groups: Vec<Served<S>>,
    schedules: Vec<Schedule>,
    settings: Settings,
    listeners: Listeners,
    layers: Stack,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: String,
    /// Tells this process from an earlier one of the same name.
    pub(super) instance: String,
    pub(super) host: String,
    pub(super) version: Option<String>,
    pub(super) slots: usize,
    pub(super) grace: Duration,
    pub(super) notice: Duration,
    pub(super) poll: Duration,
    pub(super) listen: bool,
    pub(super) redact: Redact,
}

impl<S: Send + Sync + 'static> Worker<S> {
    pub(super) fn new(
        client: Client,
        state: S,
        groups: Vec<Served<S>>,
        schedules: Vec<Schedule>,
        settings: Settings,
        listeners: Listeners,
        layers: Stack,
    ) -> Self {
        Self {
            client,
            state: Arc::new(state),
            groups,
            schedules,
            settings,
            listeners,
            layers,
        }
    }

    /// The groups that it serves, each as its stream and its name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups
            .iter()
            .map(|served| (served.stream.as_str(), served.group.as_str()))
    }

    /// Whether it can do its work, to be asked while it runs.
    pub fn readiness(&self) -> Readiness {
        self.listeners.readiness().clone()
    }

    /// Works until asked to stop.
    ///
    /// Streams and groups that do not exist are made first, and schedules put. Then the worker claims, handles and
    /// settles; a database that goes away is waited for. Asked to stop, it claims nothing more, gives
    /// back what has not begun, tells running handlers (see [`Delivery::cancelled`](crate::Delivery::cancelled)),
    /// lets them finish within the grace period while their leases are still extended, gives back the
    /// rest with no attempt spent, reports what became of everything, and returns. Asked to stop at
    /// once, the grace period is over. Asked to drain (see [`Client::drain_worker`]), it does the same as
    /// when it is asked to stop.
    ///
    /// # Errors
    ///
    /// [`RunError::Start`] if the database refuses to set it up (a database that is away is waited for);
    /// [`RunError::CutOff`] and [`RunError::Unsettled`] if it could not end cleanly.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it stops at once without reporting: what is in flight is handed out again when the
    /// leases run out.
    pub async fn run(mut self, shutdown: impl IntoShutdown) -> Result<(), RunError> {
        let shutdown = shutdown.into_shutdown();
        let health = Arc::new(Health::default());
        let hears = Arc::clone(&health);
        self.listeners.add(move |event| hears.hear(event));
        let groups = tokio::select! {
            groups = self.set_up() => groups.map_err(RunError::Start)?,
            () = shutdown.graceful() => return Ok(()),
        };
        let crew = Crew {
            state: Arc::clone(&self.state),
            tx: Arc::new(TxSource::of_worker(self.client.clone(), groups.len())),
            slots: Slots::new(self.settings.slots, self.classes()),
            runners: TaskTracker::new(),
            leaving: Arc::default(),
            ending: Arc::default(),
            notice: self.settings.notice,
            health: Arc::clone(&health),
        };
        // Dropped early, everything stops.
        let _cut = CutOnDrop(Arc::clone(&crew.ending));
        let stop = CancellationToken::new();
        let _stop = stop.clone().drop_guard();
        let (finish, finished) = watch::channel(None);
        let lookout = Arc::new(Lookout::default());
        let solo = Arc::new(Semaphore::new(1));

        let (drain, over) = (CancellationToken::new(), CancellationToken::new());
        let _background = self.background(&groups, &health, &lookout, &drain);
        let pulse = Pulse {
            client: self.client.clone(),
            card: self.card(),
            groups: groups.clone(),
            health: Arc::clone(&health),
            listeners: self.listeners.clone(),
            drain: drain.clone(),
            leaving: CancellationToken::clone(&crew.leaving),
            over: over.clone(),
        };
        let mut pulse = AbortOnDropHandle::new(tokio::spawn(pulse.run()));
        let mut claimers = JoinSet::new();
        let mut settlers = JoinSet::new();
        for group in &groups {
            settlers.spawn(
                Settler {
                    client: self.client.clone(),
                    group: Arc::clone(group),
                    finish: finished.clone(),
                }
                .run(),
            );
            claimers.spawn(
                Claimer {
                    client: self.client.clone(),
                    worker: self.settings.name.as_str().into(),
                    group: Arc::clone(group),
                    crew: crew.clone(),
                    lookout: Arc::clone(&lookout),
                    solo: Arc::clone(&solo),
                    stop: stop.clone(),
                }
                .run(),
            );
        }
        let worker = self.settings.name.as_str();
        self.listeners.tell(&WorkerEvent::Started {
            worker,
            groups: groups.len(),
        });
        tokio::select! {
            () = shutdown.graceful() => {}
            () = drain.cancelled() => self.listeners.tell(&WorkerEvent::DrainRequested { worker }),
        }

        self.listeners.tell(&WorkerEvent::Stopping { worker });
        crew.ending.begin();
        stop.cancel();
        crew.leaving.cancel();
        groups.iter().for_each(|group| group.ledger.close());
        crew.runners.close();
        let drained = self.drain(&shutdown, &crew, &mut claimers).await;
        // Claimed while it was closing.
        groups.iter().for_each(|group| group.ledger.close());
        let cut_off = if drained {
            0
        } else {
            self.cut_off(&crew, &groups, &mut claimers).await
        };
        // Nobody watches any more: they have ended with an error of their own.
        let _ = finish.send(Some(Instant::now() + LAST_REPORT));
        let unsettled: usize = settlers.join_all().await.into_iter().sum();
        over.cancel();
        // If it takes too long, the row goes by itself.
        let _ = timeout(LAST_WORDS, &mut pulse).await;
        self.listeners.tell(&WorkerEvent::Stopped {
            worker,
            cut_off,
            unsettled,
        });
        match (unsettled, cut_off) {
            (0, 0) => Ok(()),
            (0, messages) => Err(RunError::CutOff { messages }),
            (messages, _) => Err(RunError::Unsettled { messages }),
        }
    }

    /// Waits for claimers and runners to end. Returns whether they all did in time.
    async fn drain(&self, shutdown: &Shutdown, crew: &Crew<S>, claimers: &mut JoinSet<()>) -> bool {
        let drain = async {
            while claimers.join_next().await.is_some() {}
            crew.runners.wait().await;
        };
        tokio::select! {
            () = drain => true,
            () = tokio::time::sleep(self.settings.grace) => false,
            () = shutdown.at_once() => false,
        }
    }

    /// Drops the handlers that still run, and gives their messages back.
    async fn cut_off(
        &self,
        crew: &Crew<S>,
        groups: &[Arc<Group<S>>],
        claimers: &mut JoinSet<()>,
    ) -> usize {
        let running: usize = groups.iter().map(|group| group.ledger.in_work()).sum();
        self.listeners.tell(&WorkerEvent::CutOff {
            worker: &self.settings.name,
            messages: running,
        });
        crew.ending.cut();
        // A claim under way hands out what nobody would give back.
        let gone = async {
            while claimers.join_next().await.is_some() {}
            groups.iter().for_each(|group| group.ledger.close());
            crew.runners.wait().await;
        };
        if timeout(LAST_WORDS, gone).await.is_err() {
            // A handler that never awaits cannot be dropped; its message can be given back.
            let stuck: usize = groups.iter().map(|group| group.ledger.abandon()).sum();
            self.listeners.tell(&WorkerEvent::LeftBehind {
                worker: &self.settings.name,
                messages: stuck,
            });
        }
        running
    }

    /// What runs beside the groups, until dropped.
    fn background(
        &self,
        groups: &[Arc<Group<S>>],
        health: &Arc<Health>,
        lookout: &Arc<Lookout>,
        drain: &CancellationToken,
    ) -> Vec<AbortOnDropHandle<()>> {
        let streams = groups.iter().map(|group| group.stream_id).collect();
        let bell = if self.settings.listen {
            Bell::new(&self.client, streams)
        } else {
            Bell::silent()
        };
        let schedules = bell.schedules();
        let watch = Arc::clone(lookout).watch(
            self.client.clone(),
            bell,
            self.settings.poll,
            self.listeners.clone(),
        );
        let orders = Orders {
            client: self.client.clone(),
            worker: self.settings.name.clone(),
            instance: self.settings.instance.clone(),
            groups: groups.to_vec(),
            lookout: Arc::clone(lookout),
            listeners: self.listeners.clone(),
            drain: drain.clone(),
        };
        let (health, listeners) = (Arc::clone(health), self.listeners.clone());
        [
            tokio::spawn(watch),
            tokio::spawn(keeper::keep(
                self.client.clone(),
                groups.to_vec(),
                self.listeners.clone(),
            )),
            tokio::spawn(housekeeping::reap(
                self.client.clone(),
                groups.to_vec(),
                self.listeners.clone(),
            )),
            tokio::spawn(housekeeping::maintain(
                self.client.clone(),
                self.listeners.clone(),
            )),
            tokio::spawn(scheduler::fire(
                self.client.clone(),
                schedules,
                self.listeners.clone(),
            )),
            tokio::spawn(orders.heed()),
            tokio::spawn(async move { health.keep_watch(&listeners).await }),
        ]
        .into_iter()
        .map(AbortOnDropHandle::new)
        .collect()
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
