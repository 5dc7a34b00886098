//! The macros of Vulkan. Use them through the `vulkan` crate, which re-exports both.
//!
//! Each macro is a pipeline, and each stage a file:
//! `attr` reads the attribute, `model` the item it stands on, `check` knows the rules,
//! `expand` writes the code, and `fallback` what stands in its place after a mistake.

mod ctxt;
mod entry;
mod event;
mod handler;
mod value;

use proc_macro::TokenStream;

/// Makes an async function the handler of a group.
///
/// The function takes its payload as the first argument, by value, and then in any order
/// `&Delivery`, `State<T>`, `Tx` and whatever else implements `FromDelivery`, up to eight arguments in all.
/// It returns `vulkan::Result`, `Result<(), E>` for another error type, or nothing.
///
/// ```
/// use std::sync::Arc;
/// use vulkan::{Delivery, State, handler};
///
/// #[derive(serde::Deserialize)]
/// struct OrderPlaced {
///     id: u64,
///     total: u64,
/// }
///
/// struct Limits {
///     total: u64,
/// }
///
/// #[handler(stream = "orders", group = "fraud")]
/// async fn screen(order: OrderPlaced, cx: &Delivery, limits: State<Arc<Limits>>) -> vulkan::Result {
///     if order.total > limits.total {
///         println!("order {} at offset {} is large", order.id, cx.offset());
///     }
///     Ok(())
/// }
///
/// // The function can still be called, and `screen` can be registered with a worker.
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> vulkan::Result {
/// let delivery = Delivery::builder_json("")?.build();
/// let limits = State(Arc::new(Limits { total: 100 }));
/// screen(OrderPlaced { id: 1, total: 500 }, &delivery, limits).await?;
/// # Ok(()) }
/// ```
///
/// With every default written out, the attribute above is
///
/// ```
/// # use vulkan::handler;
/// #[handler(
///     stream = "orders",
///     group = "fraud",
///     kinds = ">",
///     retries = 5,
///     backoff = "2s..10m",
///     lease = "30s",
///     start = "earliest",
///     name = "screen",
/// )]
/// # async fn screen(order: u64) {}
/// ```
///
/// # Keys
///
/// | Key | Value | Default |
/// |---|---|---|
/// | `stream` | the stream to read | required |
/// | `group` | the group, which has its own position in the stream | required |
/// | `kinds` | a pattern of the kinds to handle, or an array of them: `["order.placed", "order.*.paid"]` | every kind |
/// | `retries` | how many more times to try after the first attempt, 0 to 1000 | 5 |
/// | `backoff` | the first wait and the longest, `"2s..5m"`, or the first alone, `"2s"` | `"2s..10m"` |
/// | `timeout` | how long one attempt, or one batch, may take | no limit |
/// | `lease` | how long a delivery stays with a worker that gives no sign of life, at least 100 ms | `"30s"` |
/// | `concurrency` | how many deliveries one worker handles at once; of a batch handler, how many batches | left to the worker |
/// | `batch` | take up to so many messages at once, see below | one by one |
/// | `priority` | whose deliveries get a free slot of the process first: the higher number | 0 |
/// | `weight` | how large its share of the slots is among handlers of one priority | 1 |
/// | `max_in_flight` | how many deliveries of the group are in flight at once, over all workers | no limit |
/// | `max_in_flight_per_prefix` | the same for each prefix of the keys, as `tenant` in `tenant:order` | no limit |
/// | `prefix_delimiter` | what ends the prefix of a key | `":"` |
/// | `rate` | how many attempts of the group begin in a time, over all workers: `"100/s"`, `"6000/m"` | no limit |
/// | `burst` | how many of them may begin at once after a quiet time | a tenth of a second's worth |
/// | `breaker` | when the group rests: `"50% of 20 in 1m, pause 30s..10m, probe 1"` | never |
/// | `start` | where a new group begins: `"earliest"` or `"latest"` | `"earliest"` |
/// | `name` | what logs, `vulkan.workers` and overrides call the handler | the name of the function |
/// | `crate` | the path of the `vulkan` crate, where it has another name | `::vulkan` |
///
/// With `retries = 5` a delivery is dead after its sixth attempt.
///
/// Names have 1 to 128 characters from `a-z`, `0-9`, `.`, `_`, `-`.
/// In a pattern `*` is any one segment and a last `>` any remaining ones.
/// Durations are written as `500ms`, `30s`, `1m30s`, `2h`, `7d`.
///
/// # Batches
///
/// With `batch = 100` the function takes up to a hundred messages at once, as a `Vec<Received<T>>`, and then in any
/// order `State<T>`, `Tx`, and whatever else implements `FromBatch`. What becomes of the messages is said at
/// `BatchHandler`.
///
/// ```
/// use vulkan::{Received, Tx, handler};
///
/// #[handler(stream = "orders", group = "load", batch = 100)]
/// async fn load(totals: Vec<Received<i64>>, mut tx: Tx) -> vulkan::Result {
///     let sum: i64 = totals.iter().map(|total| **total).sum();
///     sqlx::query("UPDATE totals SET sum = sum + $1").bind(sum).execute(&mut *tx).await?;
///     Ok(())
/// }
/// ```
///
/// # What it writes
///
/// The body of the function stays as it is. Its result becomes a future that awaits the same
/// and also names its handler, and beside the function stands a hidden type of the same name
/// that implements `Handler`.
/// As functions and types live apart, `use jobs::screen` brings both,
/// and a struct of the same name in the same module would clash.
#[proc_macro_attribute]
pub fn handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handler::derive(attribute.into(), item.into()).into()
}

/// Makes a type an event of one stream and one kind.
///
/// ```
/// use vulkan::Event;
///
/// #[derive(serde::Serialize, Event)]
/// #[event(stream = "orders", kind = "order.placed")]
/// struct OrderPlaced {
///     #[event(key)]
///     customer: String,
///     total: u64,
/// }
///
/// let event = OrderPlaced { customer: "ada".into(), total: 12_00 };
/// assert_eq!(OrderPlaced::STREAM, "orders");
/// assert_eq!(event.partition_key().as_deref(), Some("ada"));
/// ```
///
/// | Attribute | Where | Meaning | Default |
/// |---|---|---|---|
/// | `stream = ".."` | type | the stream to publish to | required |
/// | `kind = ".."` | type | what happened, in segments: `order.placed` | required |
/// | `crate = path` | type | the path of the `vulkan` crate, where it has another name | `::vulkan` |
/// | `key` | one field of a struct | events with the same key are handled in order | no key |
///
/// Structs and enums may be events; an enum has one kind for all its variants, and no key.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    event::derive(input.into()).into()
}
