//! A handler called alone.

mod into_delivery;
mod on_app;

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use vulkan::engine::Outcome;
use vulkan::{Batch, Client, ErasedHandler, Handler, IntoHandler};

pub use into_delivery::{IntoDelivery, NoDelivery};

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
    fn from(outcome: Outcome, at: Caller) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Retry { after, error } => Self::Retry { after, error },
            Outcome::Snooze { after } => Self::Snoozed { after },
            Outcome::Dead { error } => Self::Dead { error },
            other => fail(at, format_args!("the handler was stopped: {other:?}")),
        }
    }

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
/// Takes a `&T` of an [`Event`](vulkan::Event), or a [`Delivery`](vulkan::Delivery) that is built with all that a test cares about. The payload is written as JSON
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

/// Calls a handler of batches once, with all of these, and says what becomes of each message, in their order.
///
/// A handler that takes no batches gets them one by one, up to the first error.
///
/// # Panics
///
/// As [`call`].
///
/// # Examples
///
/// ```
/// use vulkan::{Event, HandlerError, Received, handler};
/// use vulkan_testing::{Handled, call_batch};
///
/// #[derive(serde::Serialize, serde::Deserialize, Event)]
/// #[event(stream = "orders", kind = "order.placed")]
/// struct OrderPlaced {
///     total: i64,
/// }
///
/// #[handler(stream = "orders", group = "load", batch = 100)]
/// async fn load(orders: Vec<Received<OrderPlaced>>) -> vulkan::Result {
///     for order in &orders {
///         if order.total < 0 {
///             order.fail(HandlerError::dead("a negative total"));
///         }
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let orders = [7, -7].map(|total| OrderPlaced { total });
/// let handled = call_batch(load, &orders, &()).await;
/// let error = "a negative total".to_owned();
/// assert_eq!(handled, [Handled::Done, Handled::Dead { error }]);
/// # }
/// ```
#[track_caller]
pub fn call_batch<H, M, S, D>(
    handler: H,
    deliveries: impl IntoIterator<Item = D>,
    state: &S,
) -> impl Future<Output = Vec<Handled>>
where
    S: Send + Sync + 'static,
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
    D: IntoDelivery,
{
    let at = Location::caller();
    let handler = ErasedHandler::new(handler.into_handler());
    async move { run_batch(&handler, deliveries, state, None, at).await }
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
    let outcome = vulkan::__private::attempt(handler, state, &delivery).await;
    Handled::from(outcome, at)
}

async fn run_batch<S: Sync>(
    handler: &ErasedHandler<S>,
    deliveries: impl IntoIterator<Item = impl IntoDelivery>,
    state: &S,
    client: Option<&Client>,
    at: Caller,
) -> Vec<Handled> {
    let options = handler.options();
    let deliveries = deliveries.into_iter().map(|delivery| {
        delivery
            .into_delivery(&options, client)
            .or_fail(at, "the delivery cannot be made")
    });
    let batch = Batch::of(deliveries);
    let outcomes = vulkan::__private::attempt_batch(handler, state, &batch).await;
    outcomes
        .into_iter()
        .map(|outcome| Handled::from(outcome, at))
        .collect()
}
