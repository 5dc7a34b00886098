//! Events and their handlers, over Postgres and nothing else.
//!
//! Publish events to a *stream*, in the transaction that makes them true.
//! Each *group* of a stream gets every event as a delivery of its own,
//! which is handled, tried again and given up on its own, without holding up the others.
//! A handler is an async function.
//!
//! ```
//! use vulkan::{Client, Event, Worker, handler};
//!
//! #[derive(serde::Serialize, serde::Deserialize, Event)]
//! #[event(stream = "orders", kind = "order.placed")]
//! struct OrderPlaced {
//!     id: u64,
//! }
//!
//! #[handler(stream = "orders", group = "fraud")]
//! async fn screen(order: OrderPlaced) {
//!     println!("order {}", order.id);
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let database = vulkan_devpg::shared().await.create_database().await?;
//! # let url = database.url();
//! let client = Client::connect(&url).await?;
//! client.migrate().await?;
//! client.create_stream("orders").await?;
//!
//! let mut tx = client.begin().await?;
//! // .. what makes it true, and:
//! client.publish_in(&mut *tx, &OrderPlaced { id: 7 }).await?;
//! tx.commit().await?;
//!
//! let shutdown = vulkan::shutdown_signal();
//! # shutdown.stop();
//! Worker::builder(client).register(screen).run(shutdown).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Events
//!
//! An event is a type that serializes, with the stream it goes to and the kind that it is.
//! Events with the same key are handled one after another, in order.
//!
//! ```
//! use vulkan::Event;
//!
//! #[derive(serde::Serialize, serde::Deserialize, Event)]
//! #[event(stream = "orders", kind = "order.placed")]
//! struct OrderPlaced {
//!     id: u64,
//!     #[event(key)]
//!     customer: String,
//!     total: u64,
//! }
//! ```
//!
//! # Handlers
//!
//! A handler takes the payload, and then whatever it asks for:
//! the [`Delivery`] by reference, parts of the worker's state as [`State`],
//! the transaction that also marks the message done as [`Tx`],
//! and types of your own that implement [`FromDelivery`].
//! The keys of the attribute are listed at [`handler`](macro@handler).
//!
//! ```
//! # use std::sync::Arc;
//! # #[derive(serde::Deserialize)] struct OrderPlaced { id: u64, total: u64 }
//! # struct Limits { total: u64 }
//! use vulkan::{Delivery, State, handler};
//!
//! #[handler(stream = "orders", group = "fraud", kinds = "order.placed", retries = 5)]
//! async fn screen(order: OrderPlaced, cx: &Delivery, limits: State<Arc<Limits>>) -> vulkan::Result {
//!     if order.total > limits.total {
//!         std::fs::write("suspects", format!("{} at offset {}", order.id, cx.offset()))?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Errors
//!
//! An error that leaves a handler by `?` means: try again, after the backoff of the group.
//! Everything else is said aloud, with [`HandlerError`] or [`ResultExt`].
//!
//! ```
//! use std::time::Duration;
//! use vulkan::{HandlerError, ResultExt, handler};
//!
//! #[handler(stream = "orders", group = "billing")]
//! async fn bill(amount: String) -> vulkan::Result {
//!     let cents: u64 = amount.parse().dead()?;
//!     if cents > 100_000 {
//!         return Err(HandlerError::snooze(Duration::from_secs(3600)));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Tests
//!
//! The function stays a function, and a delivery can be made without a database.
//!
//! ```
//! # use vulkan::{Delivery, handler};
//! # #[derive(serde::Serialize, serde::Deserialize, vulkan::Event)]
//! # #[event(stream = "orders", kind = "order.placed")]
//! # struct OrderPlaced { id: u64 }
//! #[handler(stream = "orders", group = "fraud")]
//! async fn screen(order: OrderPlaced, cx: &Delivery) -> vulkan::Result {
//! #   assert_eq!((order.id, cx.attempt()), (7, 2));
//!     // ..
//! #   Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> vulkan::Result {
//! let order = OrderPlaced { id: 7 };
//! let delivery = Delivery::of(&order)?.attempt(2).build();
//! screen(order, &delivery).await?;
//! # Ok(()) }
//! ```
//!
//! The crate `vulkan-testing` calls handlers as a worker does, and has a database for each test.
//!
//! # What is where
//!
//! | To do | See |
//! |---|---|
//! | connect, migrate, make a stream | [`Client`] |
//! | publish | [`Client::publish`], [`Client::publish_in`], [`Client::publish_many`], [`Client::publisher`], [`Client::load`]; with headers, a delay or a dedup id [`Message`] |
//! | publish again and again | [`Schedule`], [`Cron`], [`WorkerBuilder::schedule`], [`Client::put_schedule`], [`Client::schedules`] |
//! | handle | [`handler`](macro@handler), [`Handler`], [`Worker`]; several messages at once [`Received`], [`BatchHandler`] |
//! | have a plain job queue | [`Queue`] |
//! | go on where the attempt before came | [`Delivery::save_checkpoint`], [`Delivery::checkpoint`] |
//! | change options without a rebuild | [`Overrides`] |
//! | keep secrets out of errors | [`WorkerBuilder::redact`] |
//! | have effects exactly once | [`Tx`], [`Delivery::complete_in`] |
//! | put middleware around handlers | [`WorkerBuilder::layer`], [`HandlerService`] |
//! | listen to what a worker does | [`WorkerBuilder::on_event`], [`WorkerEvent`] |
//! | answer a readiness probe | [`Worker::readiness`] |
//! | write traces | the module `telemetry`, with the feature of that name |
//! | limit a group over all workers | [`Limits`], [`HandlerOptions`], [`Client::set_prefix_limit`], [`Client::reset_breaker`] |
//! | read without a worker | [`Client::read`], [`Client::reader`] |
//! | know what is wrong with the server | [`Client::doctor`] |
//! | look, redrive, replay, skip, cancel, pause | [`Client::overview`], [`Client::inspect`], [`Client::redrive`], [`Client::replay`], [`Client::skip`], [`Client::cancel`], [`Client::pause`] |
//! | see and drain workers | [`Client::workers`], [`Client::drain_worker`], [`Client::drain_workers`] |
//! | write a worker of one's own | [`engine`] |

#[doc(inline)]
pub use vulkan_core::{
    Backoff, BackoffError, Binding, Breaker, BreakerError, Client, Cron, CronError, Diagnosis,
    DryRun, DurationError, Error, Event, GroupName, GroupOptions, GroupOverview, Inspected,
    IntoMessage, KindPattern, Limit, Limits, LiveWorker, Loader, LogEvent, Message, Missed, Mode,
    NameError, OnDead, PartitionKey, Position, Problem, Published, Publisher, PublisherOptions,
    Rate, RateError, Reader, ReaderEvents, Redrive, Refusal, Replayed, Schedule, ScheduleError,
    ScheduleMistake, ScheduleOverview, ServedHandler, Start, StartError, Status, Subject,
    WorkerState, engine,
};
#[doc(inline)]
pub use vulkan_macros::{Event, handler};
#[doc(inline)]
pub use vulkan_worker::{
    Attempt, Batch, BatchHandler, BuildError, CheckpointError, DatabaseCall, DecodeError, Delivery,
    DeliveryBuilder, Disposition, ErasedHandler, Failure, FromBatch, FromDelivery, FromRef,
    Handler, HandlerCall, HandlerError, HandlerOptions, HandlerService, InBatches, Interruption,
    IntoHandler, IntoResult, IntoShutdown, Job, JobWithState, Mistake, OptionsError, Overrides,
    Queue, QueueWorker, Readiness, Received, Result, ResultExt, RunError, Shutdown, State, Tx,
    TxError, Worker, WorkerBuilder, WorkerEvent, shutdown_signal,
};

#[cfg(feature = "telemetry")]
pub mod telemetry;

/// What the code written by the macros refers to, and how `vulkan-testing` calls handlers. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use vulkan_core::__private::*;
    pub use vulkan_worker::__private::*;
}
