//! .

mod handler;
mod runtime;

pub use handler::{
    ByHand, Call, DecodeError, Delivery, DeliveryBuilder, Disposition, ErasedHandler, FromDelivery,
    FromRef, Handler, HandlerError, HandlerOptions, IntoHandler, IntoResult, OptionsError, Result,
    ResultExt, State,
};
pub use runtime::{
    BuildError, IntoShutdown, Mistake, RunError, Shutdown, Worker, WorkerBuilder, shutdown_signal,
};
pub use vulkan_core::{Backoff, Start};

/// What the code written by `#[handler]` refers to. Not part of the public interface.
#[doc(hidden)]
pub mod __private;
