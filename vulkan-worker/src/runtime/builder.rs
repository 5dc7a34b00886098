use std::fmt;
use std::time::Duration;

use uuid::Uuid;
use vulkan_core::{Client, Schedule};

use super::error::{BuildError, Mistake, RunError};
use super::events::{Listeners, WorkerEvent};
use super::registry::{Registered, sort};
use super::shutdown::IntoShutdown;
use super::worker::{Settings, Worker};
use crate::handler::{ErasedHandler, Handler, HandlerOptions, IntoHandler};

/// Puts a [`Worker`] together.
///
/// | Option | Unless set |
/// |---|---|
/// | [`concurrency`](Self::concurrency) | 64 messages in work at once, over all handlers |
/// | [`grace`](Self::grace) | 25 seconds for running handlers at shutdown |
/// | [`poll`](Self::poll) | a look for work every second while nothing rings |
/// | [`listen`](Self::listen) | a connection of its own listens for publishers |
/// | [`name`](Self::name) | host name, process id and a random part |
/// | [`version`](Self::version) | none, which is below every other |
/// | [`notice`](Self::notice) | 5 seconds for a handler whose message was cancelled |
/// | [`on_event`](Self::on_event) | nobody listens but the log |
///
/// # Examples
///
/// ```no_run
/// # use vulkan_core::Client;
/// # use vulkan_worker::{Delivery, Handler, HandlerOptions, Result, Worker, shutdown_signal};
/// # struct Audit;
/// # impl<S: Sync> Handler<S> for Audit {
/// #     fn options(&self) -> HandlerOptions { HandlerOptions::new("orders", "audit") }
/// #     async fn call(&self, _: &Delivery, _: &S) -> Result { Ok(()) }
/// # }
/// # async fn example(client: Client) -> std::result::Result<(), vulkan_worker::RunError> {
/// Worker::builder(client)
///     .state("what handlers share")
///     .register_with(Audit, |options| options.concurrency(4))
///     .concurrency(16)
///     .run(shutdown_signal())
///     .await
/// # }
/// ```
#[must_use = "a builder does nothing until `.run(..)` or `.build()`"]
pub struct WorkerBuilder<S> {
    client: Client,
    state: S,
    handlers: Vec<Registered<S>>,
    schedules: Vec<Schedule>,
    /// Made before there was anything to check.
    mistakes: Vec<Mistake>,
    settings: Settings,
    listeners: Listeners,
}

impl Worker<()> {
    /// Begins a worker on a client.
    pub fn builder(client: Client) -> WorkerBuilder<()> {
        let host = gethostname::gethostname();
        let host = host.to_string_lossy().into_owned();
        let random = Uuid::new_v4().simple().to_string();
        WorkerBuilder {
            client,
            state: (),
            handlers: Vec::new(),
            schedules: Vec::new(),
            mistakes: Vec::new(),
            settings: Settings {
                name: format!("{host}:{}:{}", std::process::id(), &random[..8]),
                instance: random,
                host,
                version: None,
                slots: 64,
                grace: Duration::from_secs(25),
                notice: Duration::from_secs(5),
                poll: Duration::from_secs(1),
                listen: true,
            },
            listeners: Listeners::default(),
        }
    }
}

impl WorkerBuilder<()> {
    /// Sets the state that handlers take parts of with [`State`](crate::State). Comes before `register`.
    pub fn state<S: Send + Sync + 'static>(self, state: S) -> WorkerBuilder<S> {
        let early = self
            .handlers
            .iter()
            .map(|one| Mistake::RegisteredBeforeState {
                handler: one.options.name.to_string(),
            });
        WorkerBuilder {
            client: self.client,
            state,
            handlers: Vec::new(),
            schedules: self.schedules,
            mistakes: early.collect(),
            settings: self.settings,
            listeners: self.listeners,
        }
    }
}

impl<S: Send + Sync + 'static> WorkerBuilder<S> {
    /// Registers a handler: a function with `#[handler]` above it, or a [`Handler`].
    pub fn register<H, M>(self, handler: H) -> Self
    where
        H: IntoHandler<S, M>,
        H::Handler: Handler<S>,
    {
        self.register_with(handler, |options| options)
    }

    /// Registers a handler with options that differ from those it was written with.
    pub fn register_with<H, M>(
        mut self,
        handler: H,
        change: impl FnOnce(HandlerOptions) -> HandlerOptions,
    ) -> Self
    where
        H: IntoHandler<S, M>,
        H::Handler: Handler<S>,
    {
        let handler = ErasedHandler::new(handler.into_handler());
        let options = change(handler.options());
        self.handlers.push(Registered { handler, options });
        self
    }

    /// Puts a recurring event into the database when the worker starts, see [`Client::put_schedule`], its
    /// stream made where it is not there. Every worker fires all schedules, whoever put them; one that is
    /// no longer registered anywhere stays, until [`Client::delete_schedule`].
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedules.push(schedule);
        self
    }

    /// Sets how many messages the process handles at once, over all its handlers.
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.settings.slots = slots;
        self
    }

    /// Sets how long running handlers may take to finish once the worker is asked to stop.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Sets how often the worker looks for work while nothing rings.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.settings.poll = poll;
        self
    }

    /// Whether a connection of its own listens for publishers. Without, as through a transaction
    /// pooler, messages are found by looking alone.
    pub fn listen(mut self, listen: bool) -> Self {
        self.settings.listen = listen;
        self
    }

    /// Sets the name by which leases and records know this worker. It must be its own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Adds a listener to what the worker does: see [`WorkerEvent`].
    ///
    /// It is called where things happen, for each message too, so it should be quick and must not
    /// block: count, or send to a channel. One that panics is caught. What the worker logs is made from
    /// the same events.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use vulkan_worker::{Worker, WorkerEvent};
    ///
    /// # async fn example(client: vulkan_core::Client) {
    /// let dead = Arc::new(AtomicU64::new(0));
    /// let count = Arc::clone(&dead);
    /// let builder = Worker::builder(client).on_event(move |event| {
    ///     if let WorkerEvent::Dead { attempt, error, .. } = event {
    ///         count.fetch_add(1, Ordering::Relaxed);
    ///         eprintln!("{} gave up on {}: {error}", attempt.handler, attempt.offset);
    ///     }
    /// });
    /// # let _ = builder;
    /// # }
    /// ```
    pub fn on_event(mut self, listener: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Sets the version of the program, such as `env!("CARGO_PKG_VERSION")`.
    ///
    /// Versions are compared by the dotted numbers they begin with. Where workers of several versions
    /// serve one group, the options that the highest of them declares stand, so that a deploy settles
    /// on the new ones however often an old process starts again. See `docs/guides/deploys.md`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.settings.version = Some(version.into());
        self
    }

    /// Sets how long a handler may take to end once it is told that its message was cancelled; then it
    /// is dropped. See [`Client::cancel`].
    pub fn notice(mut self, notice: Duration) -> Self {
        self.settings.notice = notice;
        self
    }

    /// Checks everything and makes the worker. The database is not asked yet.
    ///
    /// # Errors
    ///
    /// Every mistake there is, see [`Mistake`].
    pub fn build(self) -> Result<Worker<S>, BuildError> {
        let mut mistakes = self.mistakes;
        if self.settings.slots == 0 {
            mistakes.push(Mistake::NoSlots);
        }
        mistakes.extend(in_schedules(&self.schedules));
        if self.handlers.is_empty() && self.schedules.is_empty() {
            mistakes.push(Mistake::NoHandler);
        }
        match sort(self.handlers) {
            Ok(groups) if mistakes.is_empty() => Ok(Worker::new(
                self.client,
                self.state,
                groups,
                self.schedules,
                self.settings,
                self.listeners,
            )),
            sorted => {
                mistakes.extend(sorted.err().into_iter().flatten());
                Err(BuildError { mistakes })
            }
        }
    }

    /// Builds the worker and runs it: see [`Worker::run`].
    ///
    /// # Errors
    ///
    /// [`RunError::Build`] for every mistake there is, else as [`Worker::run`].
    pub async fn run(self, shutdown: impl IntoShutdown) -> Result<(), RunError> {
        self.build()?.run(shutdown).await
    }
}

fn in_schedules(schedules: &[Schedule]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (nth, one) in schedules.iter().enumerate() {
        let schedule = one.name().to_owned();
        if let Err(error) = one.check() {
            mistakes.extend(error.mistakes().iter().map(|mistake| Mistake::Schedule {
                schedule: schedule.clone(),
                mistake: mistake.clone(),
            }));
        }
        if schedules[..nth]
            .iter()
            .any(|other| other.name() == one.name())
        {
            mistakes.push(Mistake::SameSchedule { schedule });
        }
    }
    mistakes
}

impl<S> fmt::Debug for WorkerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field(
                "handlers",
                &self
                    .handlers
                    .iter()
                    .map(|one| &one.options.name)
                    .collect::<Vec<_>>(),
            )
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
