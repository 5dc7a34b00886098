use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;
use uuid::Uuid;
use vulkan_core::{Client, Schedule};

use super::error::{BuildError, Mistake, RunError};
use super::events::{Listeners, WorkerEvent};
use super::overrides::{Overrides, apply};
use super::redact::Redact;
use super::registry::{Registered, sort};
use super::shutdown::IntoShutdown;
use super::worker::{Settings, Worker};
use crate::handler::{ErasedHandler, Handler, HandlerOptions, IntoHandler};
use crate::layer::{BoxError, HandlerCall, HandlerService, Stack};

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
/// | [`layer`](Self::layer) | nothing stands around the handlers |
/// | [`on_event`](Self::on_event) | nobody listens but the log |
/// | [`overrides`](Self::overrides) | handlers have the options they are registered with |
/// | [`redact`](Self::redact) | the texts of errors are stored and logged as they are |
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
    overrides: Vec<Overrides>,
    listeners: Listeners,
    layers: Stack,
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
                redact: Redact::default(),
            },
            overrides: Vec::new(),
            listeners: Listeners::default(),
            layers: Stack::default(),
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
        let mut mistakes = self.mistakes;
        mistakes.extend(early);
        WorkerBuilder {
            client: self.client,
            state,
            handlers: Vec::new(),
            schedules: self.schedules,
            mistakes,
            settings: self.settings,
            overrides: self.overrides,
            listeners: self.listeners,
            layers: self.layers,
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
        self.handlers.push(Registered {
            handler,
            options,
            layers: Stack::default(),
        });
        self
    }

    /// Registers a handler with a layer around it alone, inside of those of [`layer`](Self::layer), and
    /// with options that differ from those it was written with.
    ///
    /// Several layers are one by `tower::ServiceBuilder`.
    pub fn register_layered<H, M, L>(
        self,
        handler: H,
        layer: L,
        change: impl FnOnce(HandlerOptions) -> HandlerOptions,
    ) -> Self
    where
        H: IntoHandler<S, M>,
        H::Handler: Handler<S>,
        L: Layer<HandlerService> + Send + Sync + 'static,
        L::Service: Service<HandlerCall, Response = ()> + Clone + Send + Sync + 'static,
        <L::Service as Service<HandlerCall>>::Error: Into<BoxError>,
        <L::Service as Service<HandlerCall>>::Future: Send + 'static,
    {
        let mut this = self.register_with(handler, change);
        if let Some(registered) = this.handlers.last_mut() {
            registered.layers.push(layer);
        }
        this
    }

    /// Puts a `tower` layer around every handler, whether registered before or after.
    ///
    /// The first layer is the outermost and sees a call first, as in `tower::ServiceBuilder`. A layer is
    /// applied to each handler by itself; what handlers are to share, such as a semaphore, it must hold.
    /// What it makes has to be [`Clone`], and one clone serves one call. A handler's timeout, a lost
    /// lease and the end of the grace period end what layers do, too; a panic in one is a failed attempt.
    ///
    /// # Examples
    ///
    /// No more than two calls of each handler at once, none longer than a second:
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower::ServiceBuilder;
    /// use vulkan_worker::Worker;
    ///
    /// # async fn example(client: vulkan_core::Client) {
    /// let builder = Worker::builder(client).layer(
    ///     ServiceBuilder::new()
    ///         .concurrency_limit(2)
    ///         .timeout(Duration::from_secs(1))
    ///         .into_inner(),
    /// );
    /// # let _ = builder;
    /// # }
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<HandlerService> + Send + Sync + 'static,
        L::Service: Service<HandlerCall, Response = ()> + Clone + Send + Sync + 'static,
        <L::Service as Service<HandlerCall>>::Error: Into<BoxError>,
        <L::Service as Service<HandlerCall>>::Future: Send + 'static,
    {
        self.layers.push(layer);
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

    /// Changes options of handlers without a rebuild, whenever they are registered: from a file, the environment, or both.
    /// Of several, the later goes over the earlier, and all go over what handlers were registered with.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides.push(overrides);
        self
    }

    /// Sets what every text of an error goes through before it is stored as `last_error`, logged, or told to listeners:
    /// errors with their sources, panics, and payloads that do not decode, whose errors quote from them.
    ///
    /// What panics print to stderr themselves is the business of the program's panic hook, and what handlers log theirs.
    /// Should the redactor panic, nothing of the text is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn example(builder: vulkan_worker::WorkerBuilder<()>) {
    /// builder.redact(|text| match text.contains("token=") {
    ///     true => "an error that holds a token".into(),
    ///     false => text.into(),
    /// });
    /// # }
    /// ```
    pub fn redact(
        mut self,
        redact: impl for<'a> Fn(&'a str) -> Cow<'a, str> + Send + Sync + 'static,
    ) -> Self {
        self.settings.redact = Redact::by(redact);
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
        if self.settings.poll.is_zero() {
            mistakes.push(Mistake::NoPoll);
        }
        if self.settings.name.is_empty() {
            mistakes.push(Mistake::NoName);
        }
        let mut handlers = self.handlers;
        let mut options: Vec<_> = handlers.iter_mut().map(|one| &mut one.options).collect();
        mistakes.extend(apply(&self.overrides, &mut options));
        match sort(handlers) {
            Ok(groups) if mistakes.is_empty() => Ok(Worker::new(
                self.client,
                self.state,
                groups,
                self.schedules,
                self.settings,
                self.listeners,
                self.layers,
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
