//! A handler called alone.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use vulkan::engine::Outcome;
use vulkan::{
    Client, Delivery, DeliveryBuilder, ErasedHandler, Event, Handler, HandlerOptions, IntoHandler,
};

use crate::TestApp;
use crate::failure::{Caller, OrFail, fail};

/// What becomes of a message, as its handler has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It is done.
    Done,
    /// It is tried again; the attempt counts.
    Retry {
        /// After how long, where the handler has picked that; `None` leaves it to the backoff of the group.
        after: Option<Duration>,
        /// What `last_error` would say.
        error: String,
    },
    /// It is tried again, as if this attempt had not been.
    Snoozed {
        /// After how long.
        after: Duration,
    },
    /// It is dead.
    Dead {
        /// What `last_error` would say.
        error: String,
    },
}

impl Handled {
    /// What `last_error` would say.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Retry { error, .. } | Self::Dead { error } => Some(error),
            Self::Done | Self::Snoozed { .. } => None,
        }
    }
}

/// Calls a handler as a worker does, without a worker and without a database, and says what becomes of the message.
///
/// Takes a `&T` of an [`Event`], or a [`Delivery`] that is built with all that a test cares about. The payload is written as JSON
/// and read again. As in a worker, a payload that does not decode is dead, so is an error of the last attempt, and a panic
/// or a timeout is a failed attempt.
///
/// # Panics
///
/// When the handler takes no event of that stream and kind, and so would never be called.
///
/// # Examples
///
/// ```
/// use vulkan::{Delivery, Event, handler};
/// use vulkan_testing::{Handled, call};
///
/// #[derive(serde::Serialize, serde::Deserialize, Event)]
/// #[event(stream = "orders", kind = "order.placed")]
/// struct OrderPlaced {
///     total: i64,
/// }
///
/// #[handler(stream = "orders", group = "billing", retries = 2)]
/// async fn bill(order: OrderPlaced, cx: &Delivery) -> vulkan::Result {
///     if order.total == 0 {
///         return Err("nothing to bill".into());
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> serde_json::Result<()> {
/// assert_eq!(call(bill, &OrderPlaced { total: 7 }).await, Handled::Done);
///
/// let free = OrderPlaced { total: 0 };
/// let error = "nothing to bill".to_owned();
/// assert_eq!(call(bill, &free).await, Handled::Retry { after: None, error: error.clone() });
/// // The last of three attempts.
/// let last = Delivery::of(&free)?.attempt(3);
/// assert_eq!(call(bill, last).await, Handled::Dead { error });
/// # Ok(()) }
/// ```
#[track_caller]
pub fn call<H, M, D>(handler: H, delivery: D) -> impl Future<Output = Handled>
where
    H: IntoHandler<(), M>,
    H::Handler: Handler<()>,
    D: IntoDelivery,
{
    let at = Location::caller();
    let handler = ErasedHandler::new(handler.into_handler());
    async move { run(&handler, delivery, &(), None, at).await }
}

/// Calls a handler as [`call`] does, with the state that a worker would have.
///
/// # Panics
///
/// As [`call`].
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use vulkan::{Delivery, State, handler};
/// use vulkan_testing::{Handled, call_with};
///
/// struct Limits {
///     total: i64,
/// }
///
/// #[handler(stream = "orders", group = "fraud")]
/// async fn screen(total: i64, limits: State<Arc<Limits>>) -> vulkan::Result {
///     if total > limits.total {
///         return Err("too much".into());
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> serde_json::Result<()> {
/// let limits = Arc::new(Limits { total: 100 });
/// let handled = call_with(screen, Delivery::builder_json(&120)?, &limits).await;
/// assert_eq!(handled.error(), Some("too much"));
/// # Ok(()) }
/// ```
#[track_caller]
pub fn call_with<H, M, S, D>(handler: H, delivery: D, state: &S) -> impl Future<Output = Handled>
where
    S: Send + Sync + 'static,
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
    D: IntoDelivery,
{
    let at = Location::caller();
    let handler = ErasedHandler::new(handler.into_handler());
    async move { run(&handler, delivery, state, None, at).await }
}

impl TestApp {
    /// Calls a handler as [`call_with`] does, with this database behind it: what it writes in its [`Tx`](vulkan::Tx) is
    /// committed when it returns `Ok(())`.
    ///
    /// The message is none of the database's, so nothing is marked done.
    ///
    /// # Panics
    ///
    /// As [`call`].
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan::{Event, Tx, handler};
    /// use vulkan_testing::{Handled, TestApp};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, Event)]
    /// #[event(stream = "orders", kind = "order.placed")]
    /// struct OrderPlaced {
    ///     id: i64,
    /// }
    ///
    /// #[handler(stream = "orders", group = "billing")]
    /// async fn bill(order: OrderPlaced, mut tx: Tx) -> vulkan::Result {
    ///     sqlx::query("INSERT INTO invoices VALUES ($1)").bind(order.id).execute(&mut *tx).await?;
    ///     Ok(())
    /// }
    ///
    /// # async fn test() -> Result<(), sqlx::Error> {
    /// let app = TestApp::new().await;
    /// sqlx::raw_sql("CREATE TABLE invoices (order_id bigint)").execute(app.pool()).await?;
    /// assert_eq!(app.call(bill, &OrderPlaced { id: 7 }, &()).await, Handled::Done);
    /// let invoices: i64 = sqlx::query_scalar("SELECT count(*) FROM invoices").fetch_one(app.pool()).await?;
    /// assert_eq!(invoices, 1);
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
    /// ```
    #[track_caller]
    pub fn call<H, M, S, D>(
        &self,
        handler: H,
        delivery: D,
        state: &S,
    ) -> impl Future<Output = Handled>
    where
        S: Send + Sync + 'static,
        H: IntoHandler<S, M>,
        H::Handler: Handler<S>,
        D: IntoDelivery,
    {
        let at = Location::caller();
        let handler = ErasedHandler::new(handler.into_handler());
        async move { run(&handler, delivery, state, Some(self.client()), at).await }
    }
}

async fn run<S: Sync>(
    handler: &ErasedHandler<S>,
    delivery: impl IntoDelivery,
    state: &S,
    client: Option<&Client>,
    at: Caller,
) -> Handled {
    let delivery = delivery
        .into_delivery(&handler.options(), client)
        .or_fail(at, "the delivery cannot be made");
    match vulkan::__private::attempt(handler, state, &delivery).await {
        Outcome::Done => Handled::Done,
        Outcome::Retry { after, error } => Handled::Retry { after, error },
        Outcome::Snooze { after } => Handled::Snoozed { after },
        Outcome::Dead { error } => Handled::Dead { error },
        other => fail(at, format_args!("the handler was stopped: {other:?}")),
    }
}

/// What a handler can be called with: a reference to an [`Event`], or a [`Delivery`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot be called with `{Self}`",
    label = "neither a `Delivery` nor a reference to an `Event`",
    note = "derive `Event` for the type and pass `&value`, or make a `Delivery::builder_json(&payload)?`"
)]
pub trait IntoDelivery {
    /// Turns into a delivery for a handler with these options, on this database if there is one.
    ///
    /// # Errors
    ///
    /// [`NoDelivery`].
    fn into_delivery(
        self,
        options: &HandlerOptions,
        client: Option<&Client>,
    ) -> Result<Delivery, NoDelivery>;
}

/// Why no delivery can be made for a handler.
#[derive(Debug)]
pub struct NoDelivery(String);

impl std::fmt::Display for NoDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoDelivery {}

/// As it stands: whoever built it has said what it is.
impl IntoDelivery for Delivery {
    fn into_delivery(self, _: &HandlerOptions, _: Option<&Client>) -> Result<Delivery, NoDelivery> {
        Ok(self)
    }
}

impl IntoDelivery for DeliveryBuilder {
    fn into_delivery(
        self,
        _: &HandlerOptions,
        client: Option<&Client>,
    ) -> Result<Delivery, NoDelivery> {
        Ok(with(self, client).build())
    }
}

/// The first attempt in the handler's group.
#[diagnostic::do_not_recommend]
impl<E: Event> IntoDelivery for &E {
    fn into_delivery(
        self,
        options: &HandlerOptions,
        client: Option<&Client>,
    ) -> Result<Delivery, NoDelivery> {
        let taken = options.kinds.is_empty()
            || options.kinds.iter().any(|kind| {
                let pattern = kind.parse::<vulkan::KindPattern>();
                pattern.is_ok_and(|pattern| pattern.matches(E::KIND))
            });
        if options.stream != E::STREAM || !taken {
            return Err(NoDelivery(format!(
                "handler {:?} takes {} of stream {:?}, and is never called with kind {:?} of stream {:?}",
                options.name,
                match options.kinds.as_slice() {
                    [] => "every kind".to_owned(),
                    kinds => format!("{kinds:?}"),
                },
                options.stream,
                E::KIND,
                E::STREAM,
            )));
        }
        let builder = Delivery::of(self).map_err(|error| {
            NoDelivery(format!(
                "a {:?} event cannot be written as JSON: {error}",
                E::KIND
            ))
        })?;
        Ok(with(builder, client)
            .group(options.group.clone())
            .max_attempts(options.max_attempts())
            .build())
    }
}

fn with(builder: DeliveryBuilder, client: Option<&Client>) -> DeliveryBuilder {
    match client {
        Some(client) => builder.client(client),
        None => builder,
    }
}
