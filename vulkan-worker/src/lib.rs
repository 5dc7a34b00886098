//! The worker of Vulkan: async functions that handle the messages of consumer groups.
//!
//! Most programs use it through the crate `vulkan`, which adds `#[handler]`. Everything the macro
//! writes can be written by hand, too:
//!
//! ```
//! use vulkan_core::{Client, Message};
//! use vulkan_worker::{Delivery, Handler, HandlerOptions, Result, Shutdown, Worker};
//!
//! /// Handles every order, and stops the worker after the last.
//! struct Screen;
//!
//! impl Handler<Shutdown> for Screen {
//!     fn options(&self) -> HandlerOptions {
//!         HandlerOptions::new("orders", "fraud").kinds(["order.placed"]).retries(5)
//!     }
//!
//!     async fn call(&self, delivery: &Delivery, shutdown: &Shutdown) -> Result {
//!         let total: u64 = delivery.decode()?;
//!         println!("{total} at offset {}", delivery.offset());
//!         if total == 4_000 {
//!             shutdown.stop();
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let database = vulkan_devpg::shared().await.create_database().await?;
//! let client = Client::connect(&database.url()).await?;
//! client.migrate().await?;
//! client.create_stream("orders").await?;
//! for total in [120, 80, 4_000] {
//!     client.publish(Message::new("orders", "order.placed", &total)?).await?;
//! }
//! let shutdown = Shutdown::new();
//! Worker::builder(client)
//!     .state(shutdown.clone())
//!     .register(Screen)
//!     .run(shutdown)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of a message
//!
//! `Ok(())` is done. An error that leaves by `?` is tried again after the backoff of the group, and
//! the message is dead after its last attempt; [`HandlerError`] and [`ResultExt`] say anything else.
//! The table is at [`Handler`]. Delivery is at least once: a handler that writes to the same database
//! makes its effects happen once with a [`Tx`].
//!
//! # How a worker behaves
//!
//! Streams and groups that do not exist are made when it starts, and a database that is away is
//! waited for. It handles [up to 64 messages at once](WorkerBuilder::concurrency), those of one
//! partition key one after the other. It claims no more than it can begin soon, settles within about
//! a second, and extends the leases of what runs longer. A panic is a failed attempt. Asked to stop
//! through a [`Shutdown`], it lets running handlers finish, and gives back what has not begun.
//!
//! # What is where
//!
//! | To do | See |
//! |---|---|
//! | write a handler | [`Handler`], [`HandlerOptions`], [`Delivery`] |
//! | take more arguments with `#[handler]` | [`State`], [`FromRef`], [`FromDelivery`] |
//! | handle several messages at once | [`BatchHandler`], [`Received`], [`Batch`], [`FromBatch`] |
//! | go on where the attempt before came | [`Delivery::save_checkpoint`], [`Delivery::checkpoint`] |
//! | change options without a rebuild | [`Overrides`], [`WorkerBuilder::overrides`] |
//! | keep secrets out of errors | [`WorkerBuilder::redact`] |
//! | have effects exactly once | [`Tx`], [`Delivery::complete_in`] |
//! | say what an error means | [`HandlerError`], [`ResultExt`], [`Disposition`] |
//! | have a plain job queue | [`Queue`], [`QueueWorker`] |
//! | run handlers, and stop | [`Worker`], [`WorkerBuilder`], [`Shutdown`], [`shutdown_signal`] |
//! | put middleware around handlers | [`WorkerBuilder::layer`], [`HandlerService`] |
//! | answer a readiness probe | [`Worker::readiness`], [`Readiness`] |
//! | listen to what a worker does | [`WorkerBuilder::on_event`], [`WorkerEvent`] |
//! | test a handler without a database | [`Delivery::of`], [`DeliveryBuilder`] |

mod handler;
mod layer;
mod queue;
mod runtime;

pub use handler::{
    Batch, BatchHandler, ByHand, ByHandInBatches, Call, CheckpointError, DecodeError, Delivery,
    DeliveryBuilder, Disposition, ErasedHandler, Failure, FromBatch, FromDelivery, FromRef,
    Handler, HandlerError, HandlerOptions, InBatches, IntoHandler, IntoResult, OptionsError,
    Received, Result, ResultExt, State, Tx, TxError,
};
pub use layer::{HandlerCall, HandlerService};
pub use queue::{Job, JobWithState, Queue, QueueWorker};
pub use runtime::{
    Attempt, BuildError, DatabaseCall, Interruption, IntoShutdown, Mistake, Overrides, Readiness,
    RunError, Shutdown, Worker, WorkerBuilder, WorkerEvent, shutdown_signal,
};
pub use vulkan_core::{Backoff, Breaker, Rate, Start};

/// What the code written by `#[handler]` refers to, and how `vulkan-testing` calls handlers. Not part of the public interface.
#[doc(hidden)]
pub mod __private;
