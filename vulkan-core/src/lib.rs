//! The log and the lifecycle of Vulkan as an async Rust client.
//!
//! Everything here is one call of a documented `vulkan.*` function in the database: what this
//! client does, `psql`, a trigger or another language can do as well.
//!
//! ```
//! use serde::Serialize;
//! use vulkan_core::{Client, Message};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let database = vulkan_devpg::shared().await.create_database().await?;
//! let client = Client::connect(&database.url()).await?;
//! client.migrate().await?;
//! client.create_stream("orders").await?;
//!
//! // One event, durable when the call returns.
//! let offset = client
//!     .publish(Message::new("orders", "order.placed", &serde_json::json!({"total": 42}))?.key("customer-7"))
//!     .await?;
//!
//! // In a transaction of your own: it commits or vanishes with your write.
//! let mut tx = client.begin().await?;
//! client.publish_in(&mut *tx, Message::new("orders", "order.paid", &42)?).await?;
//! tx.rollback().await?;
//! # assert_eq!(offset, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | To do | See |
//! |---|---|
//! | connect, migrate | [`Client`] |
//! | publish | [`Client::publish`], [`Client::publish_in`], [`Client::publish_many`], [`Client::publisher`], [`Client::load`], [`Event`], [`Message`] |
//! | publish again and again | [`Schedule`], [`Client::put_schedule`], [`Client::schedules`], [`Cron`] |
//! | make streams and groups | [`Client::create_stream`], [`Client::ensure_group`] |
//! | limit a group | [`Limits`], [`Client::set_prefix_limit`], [`Client::reset_breaker`] |
//! | read a stream | [`Client::read`], [`Client::reader`] |
//! | look, redrive, replay, skip, cancel, pause | [`Client::overview`], [`Client::inspect`], [`Client::redrive`], [`Client::replay`], [`Client::skip`], [`Client::cancel`], [`Client::pause`] |
//! | see and drain workers | [`Client::workers`], [`Client::drain_worker`], [`Client::drain_workers`] |
//! | write a worker of one's own | [`engine`] |

mod client;
mod cursor;
mod detach;
pub mod engine;
mod error;
mod event;
mod group;
mod interval;
mod limits;
mod migrate;
mod operate;
mod position;
mod publish;
mod schedule;
mod silence;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(not(feature = "telemetry"))]
#[path = "telemetry_off.rs"]
mod telemetry;
mod wake;
mod warm;

pub use client::Client;
pub use cursor::{LogEvent, Reader, ReaderEvents};
pub use error::{Error, Refusal};
pub use event::{Event, PartitionKey};
pub use group::{Binding, GroupOptions, Mode, OnDead};
pub use limits::{Limit, Limits};
pub use operate::{
    DryRun, GroupOverview, Inspected, LiveWorker, Redrive, Replayed, ServedHandler, Status,
    WorkerState,
};
pub use position::Position;
pub use publish::{IntoMessage, Loader, Message, Published, Publisher, PublisherOptions};
pub use schedule::{
    Cron, CronError, Missed, Schedule, ScheduleError, ScheduleMistake, ScheduleOverview,
};
pub use vulkan_names::{
    Backoff, BackoffError, Breaker, BreakerError, DurationError, GroupName, KindPattern, NameError,
    Problem, Rate, RateError, Start, StartError, Subject,
};

/// What the code written by `#[derive(Event)]` refers to. Not part of the public interface.
#[doc(hidden)]
pub mod __private;
