//! The contract between a handler and the worker that runs it.
//!
//! [`Handler`] is what the worker calls and `#[handler]` writes, [`BatchHandler`] the same for several messages at once;
//! [`Delivery`], [`State`], [`Tx`] and [`FromDelivery`] are what a handler can ask for;
//! [`HandlerError`] is how it says what becomes of a delivery that failed.

use std::future::Future;

mod batch;
mod batch_handler;
mod call;
mod cancellation;
mod checkpoint;
mod decode;
mod delivery;
mod delivery_builder;
mod erased;
mod error;
mod error_message;
mod extract;
mod failure;
mod into_handler;
mod into_result;
mod options;
mod options_check;
mod received;
mod result_ext;
mod state;
mod tx;
mod tx_slot;

pub use batch::Batch;
pub use batch_handler::{BatchHandler, ByHandInBatches, FromBatch, InBatches};
pub use call::Call;
pub(crate) use cancellation::Cancellation;
pub use checkpoint::CheckpointError;
pub(crate) use checkpoint::Checkpoints;
pub use decode::DecodeError;
pub use delivery::Delivery;
pub use delivery_builder::DeliveryBuilder;
pub use erased::ErasedHandler;
pub use error::{Disposition, HandlerError};
pub(crate) use error_message::cut;
pub use extract::{DeliveryArgument, FromDelivery};
pub use failure::Failure;
pub use into_handler::{ByHand, IntoHandler};
pub use into_result::IntoResult;
pub use options::HandlerOptions;
pub use options_check::OptionsError;
pub use received::{BatchPayload, Received};
pub use result_ext::ResultExt;
pub use state::{FromRef, State};
pub use tx::Tx;
pub use tx_slot::TxError;
pub(crate) use tx_slot::{TxSlot, TxSource};

/// What a handler returns: `vulkan::Result` is `Result<(), HandlerError>`.
pub type Result<T = (), E = HandlerError> = std::result::Result<T, E>;

/// Something that handles the deliveries of one group.
///
/// Most handlers are functions with `#[handler(..)]` above them, for which the macro writes this
/// implementation. By hand it takes a few lines more, and options can be decided at run time.
///
/// `S` is the state of the worker. A handler that needs none of it is generic over `S`.
///
/// # What becomes of a delivery
///
/// | The handler | Counts as an attempt? | Who picks the delay? |
/// |---|---|---|
/// | returns `Ok(())` | yes, the last | nobody: the delivery is done |
/// | returns any error by `?` | yes | the backoff of the group |
/// | returns [`HandlerError::retry_in`] | yes | the handler |
/// | returns [`HandlerError::snooze`] | no | the handler |
/// | returns [`HandlerError::dead`] | yes, the last | nobody: the delivery is dead |
/// | returns any of these [with a checkpoint](HandlerError::with_checkpoint) | as without | as without |
/// | panics | yes | the backoff of the group |
/// | takes longer than its timeout | yes | the backoff of the group |
/// | gets a payload that does not decode | yes, the last | nobody: the delivery is dead |
/// | has a [`Tx`] that cannot commit | yes | the backoff of the group |
/// | loses its lease: the process died, or stood still for longer | yes | nobody: handed out again at once, alone |
/// | is dropped at the end of the grace period | no | nobody: handed out again at once |
/// | is not called before the worker stops | no | nobody: handed out again at once |
/// | is not there for this kind | yes | the backoff of the group |
/// | has a message that was [cancelled](vulkan_core::Client::cancel), and does not succeed | as without | nobody: the delivery is dead |
///
/// A group with `retries = 5` tries five more times after the first attempt.
/// An error of the sixth attempt leaves the delivery dead, whatever delay it asks for.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Delivery, Handler, HandlerOptions, Result};
///
/// struct Audit {
///     group: String,
/// }
///
/// impl<S: Sync> Handler<S> for Audit {
///     fn options(&self) -> HandlerOptions {
///         HandlerOptions::new("orders", self.group.clone()).retries(20)
///     }
///
///     async fn call(&self, delivery: &Delivery, _state: &S) -> Result {
///         println!("{} {}", delivery.offset(), delivery.payload());
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle deliveries for a worker whose state is `{S}`",
    label = "not a handler for the state `{S}`",
    note = "write `#[handler(stream = \"..\", group = \"..\")]` above an async function, \
            or implement `Handler<{S}>`"
)]
pub trait Handler<S>: Send + Sync + 'static {
    /// Which deliveries this handler takes, and how they are tried again.
    ///
    /// The worker asks once, when it is built.
    fn options(&self) -> HandlerOptions;

    /// Handles one delivery.
    ///
    /// The table [above](Self#what-becomes-of-a-delivery) says what each outcome means.
    /// Deliveries repeat when a worker dies before it could note the outcome,
    /// so what a handler does should be safe to do again.
    ///
    /// An implementation may simply be an `async fn`.
    ///
    /// # Cancel safety
    ///
    /// The worker drops the future at any of its await points when a timeout passes, when the lease is
    /// lost, when the message is cancelled, or at the end of the grace period of a shutdown.
    /// [`Delivery::cancelled`] tells beforehand in all cases but the first. A handler that does not come
    /// back from a poll, because it blocks its thread, cannot be dropped: it is told as
    /// [`WorkerEvent::Stuck`](crate::WorkerEvent::Stuck).
    fn call(&self, delivery: &Delivery, state: &S) -> impl Future<Output = Result> + Send;

    /// Forgets the type, but not whether it takes batches.
    #[doc(hidden)]
    fn erase(self) -> ErasedHandler<S>
    where
        Self: Sized,
        S: Sync,
    {
        ErasedHandler::one_by_one(self)
    }
}
