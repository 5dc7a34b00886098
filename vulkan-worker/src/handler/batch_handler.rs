use std::future::Future;

use super::{Batch, Delivery, ErasedHandler, Handler, HandlerOptions, Result, State, Tx};
use super::{FromRef, IntoHandler};

/// Something that handles several messages of one group at once, because that is cheaper: one bulk insert, one
/// commit, one call of a service.
///
/// Most are functions with `#[handler(.., batch = 100)]` above them that take a `Vec` of
/// [`Received`](super::Received), for which the macro writes this implementation.
///
/// The worker hands out what is there, up to [`HandlerOptions::batch`] messages, and waits for no more to come. Of
/// each partition key there is at most one message in a batch; the next is in a later one, once this one is done or
/// dead. A message that was tried before comes alone, so that one that makes its batch fail drags no other with
/// it. Timeouts hold for the batch, and [`concurrency`](HandlerOptions::concurrency) counts batches.
///
/// # What becomes of the messages
///
/// | | |
/// |---|---|
/// | a message failed by itself, see [`Received::fail`](super::Received::fail) | as its error says, whatever the handler returns |
/// | the handler returns `Ok(())` | the others are done |
/// | the handler returns an error | the others get the error. Of several messages none is dead by that before its last attempt: each is tried again, alone |
/// | the handler panics, or its timeout passes | that is a failed attempt of each of the others |
/// | a payload does not decode | that message is dead, and the handler gets the others |
/// | one lease is lost, and the handler has a [`Tx`] | nothing commits; the others go back, no attempt spent |
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Batch, BatchHandler, HandlerOptions, Result};
///
/// struct Load;
///
/// impl<S: Sync> BatchHandler<S> for Load {
///     fn options(&self) -> HandlerOptions {
///         HandlerOptions::new("orders", "load").batch(500)
///     }
///
///     async fn call(&self, batch: &Batch, _: &S) -> Result {
///         let orders = batch.received::<u64>();
///         let mut tx = batch.tx().await?;
///         sqlx::query("INSERT INTO orders SELECT unnest($1)")
///             .bind(orders.iter().map(|order| i64::try_from(**order)).collect::<Result<Vec<_>, _>>()?)
///             .execute(&mut *tx)
///             .await?;
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle batches for a worker whose state is `{S}`",
    label = "not a batch handler for the state `{S}`",
    note = "write `#[handler(stream = \"..\", group = \"..\", batch = 100)]` above an async function, \
            or implement `BatchHandler<{S}>`"
)]
pub trait BatchHandler<S>: Send + Sync + 'static {
    /// Which deliveries this handler takes, and how they are tried again.
    ///
    /// The worker asks once, when it is built.
    fn options(&self) -> HandlerOptions;

    /// Handles some messages.
    ///
    /// # Cancel safety
    ///
    /// The worker drops the future at any of its await points when a timeout passes, when the leases of all messages are
    /// lost, or at the end of the grace period of a shutdown.
    fn call(&self, batch: &Batch, state: &S) -> impl Future<Output = Result> + Send;
}

/// A [`BatchHandler`] as the [`Handler`] that can be registered. Registering the handler itself does this.
#[derive(Debug, Clone, Copy, Default)]
pub struct InBatches<H>(pub H);

impl<S: Sync, H: BatchHandler<S>> Handler<S> for InBatches<H> {
    fn options(&self) -> HandlerOptions {
        let options = self.0.options();
        match options.batch {
            Some(_) => options,
            None => options.batch(HandlerOptions::DEFAULT_BATCH),
        }
    }

    /// A batch of one.
    async fn call(&self, delivery: &Delivery, state: &S) -> Result {
        let batch = Batch::of([delivery.twin()]);
        self.0.call(&batch, state).await?;
        match batch.take_failures().pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn erase(self) -> ErasedHandler<S> {
        ErasedHandler::in_batches(self)
    }
}

/// Marks a type that implements [`BatchHandler`] itself.
#[derive(Debug)]
pub enum ByHandInBatches {}

#[diagnostic::do_not_recommend]
impl<S, H: BatchHandler<S>> IntoHandler<S, ByHandInBatches> for H {
    type Handler = InBatches<H>;

    fn into_handler(self) -> InBatches<H> {
        InBatches(self)
    }
}

/// A type that a batch handler can ask for after its messages, by value: [`State`] and [`Tx`] are.
///
/// What depends on one message, as a [`FromDelivery`](super::FromDelivery) does, has no meaning for a batch:
/// take it from [`Received::delivery`](super::Received::delivery).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a batch handler for the state `{S}`",
    label = "not an argument of a batch handler",
    note = "after its messages a batch handler takes `State<T>` for a `T` from the state of the worker, `Tx`, and \
            whatever else implements `FromBatch<{S}>`; what belongs to one message is found by `Received::delivery`"
)]
pub trait FromBatch<S>: Sized + Send {
    /// Makes the argument for one batch. An implementation may be an `async fn`.
    ///
    /// # Errors
    ///
    /// An error ends the batch as an error of the handler would, and the handler is not called.
    fn from_batch(batch: &Batch, state: &S) -> impl Future<Output = Result<Self>> + Send;
}

impl<S: Sync, T: FromRef<S> + Send> FromBatch<S> for State<T> {
    async fn from_batch(_: &Batch, state: &S) -> Result<Self> {
        Ok(Self(T::from_ref(state)))
    }
}

impl<S: Sync> FromBatch<S> for Tx {
    async fn from_batch(batch: &Batch, _: &S) -> Result<Self> {
        batch.tx().await
    }
}
