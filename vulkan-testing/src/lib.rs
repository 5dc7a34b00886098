//! Tests of programs on Vulkan.
//!
//! A [`TestApp`] is a database of the test's own, on a PostgreSQL that is found or fetched and started by itself. In it a
//! test publishes, lets handlers work until nothing is left to do, moves time instead of waiting for it, and asks
//! what has become of everything.
//!
//! ```
//! use std::time::Duration;
//! use vulkan::{Delivery, Event, handler};
//! use vulkan_testing::TestApp;
//!
//! #[derive(serde::Serialize, serde::Deserialize, Event)]
//! #[event(stream = "orders", kind = "order.placed")]
//! struct OrderPlaced {
//!     id: u64,
//! }
//!
//! #[handler(stream = "orders", group = "billing", backoff = "1m..1h")]
//! async fn bill(order: OrderPlaced, cx: &Delivery) -> vulkan::Result {
//!     if cx.attempt() == 1 {
//!         return Err("the bank does not answer".into());
//!     }
//!     println!("billed {}", order.id);
//!     Ok(())
//! }
//!
//! # async fn test() {
//! // In `#[tokio::test] async fn an_order_is_billed_when_the_bank_answers()`:
//! let app = TestApp::new().await;
//! app.publish(&OrderPlaced { id: 7 }).await;
//!
//! let report = app.drain(app.worker().register(bill)).await;
//! assert_eq!((report.failed(), report.done()), (1, 0));
//!
//! app.advance(Duration::from_secs(120)).await;
//! app.drain(app.worker().register(bill)).await;
//! app.group("orders", "billing").assert_done(1).await;
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(test());
//! ```
//!
//! # What is where
//!
//! | To do | See |
//! |---|---|
//! | have a database, with migrations of your own | [`TestApp::new`], [`TestApp::with_migrations`], [`TestApp::with_setup`] |
//! | publish | [`TestApp::publish`], or your own code with [`TestApp::client`] |
//! | run handlers until nothing is left to do | [`TestApp::drain`], [`Drained`] |
//! | run a worker beside the test | [`Running`] |
//! | move time | [`TestApp::advance`], [`TestApp::all_due`], [`TestApp::lose_leases`] |
//! | assert what was published | [`TestApp::published`], [`TestApp::assert_nothing_else_published`] |
//! | assert what has become of messages | [`TestApp::group`] |
//! | assert that the engine is sound | [`TestApp::check`] |
//! | call a handler alone, without a database | [`call`], [`call_with`], [`call_batch`] |
//! | call a handler that begins a transaction | [`TestApp::call`], [`TestApp::call_batch`] |
//! | wait for something else | [`until`], [`within`] |
//!
//! # Panics
//!
//! What goes wrong in a test panics, with a text that says what was expected, what is there instead, and where the test
//! asked. That is so of everything here.

mod app;
mod call;
mod drain;
mod failure;
mod group;
mod published;
mod running;
mod wait;

pub use app::{SetUp, TestApp};
pub use call::{Handled, IntoDelivery, NoDelivery, call, call_batch, call_with};
pub use drain::{Drain, Drained, DrainedGroup};
pub use group::{TestGroup, TestMessage};
pub use published::Published;
pub use running::Running;
pub use wait::{until, within};
