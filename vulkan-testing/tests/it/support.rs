//! What the tests share.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use vulkan::{Event, Message, handler};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
pub(crate) struct OrderPlaced {
    pub(crate) id: u64,
}

/// Does nothing.
#[handler(stream = "orders", group = "audit")]
pub(crate) async fn audit(_: OrderPlaced) {}

/// A plain event on stream `orders`.
pub(crate) fn message(kind: &str) -> Message {
    Message::new("orders", kind, &serde_json::json!({"id": 1})).unwrap()
}

/// The text with which something fails.
pub(crate) async fn failure<T>(work: impl Future<Output = T>) -> String {
    let Err(panic) = AssertUnwindSafe(work).catch_unwind().await else {
        panic!("it did not fail");
    };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap()
}

/// A failure without the place where the test asked, which must be in that file.
pub(crate) fn without_place(text: &str, file: &str) -> String {
    let (text, place) = text.split_once("\n  asked at ").unwrap();
    assert!(place.contains(file), "{place}");
    text.to_owned()
}
