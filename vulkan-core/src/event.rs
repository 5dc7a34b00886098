//! What can be published: [`Event`] and [`PartitionKey`].

use std::borrow::Cow;

mod partition_key;

pub use partition_key::PartitionKey;

/// A type whose values are published to a stream.
///
/// The stream and the kind belong to the type, so that a publisher cannot mix them up;
/// the payload is what `serde` makes of the value.
/// `#[derive(Event)]` writes the implementation and checks both texts while it compiles:
///
/// ```
/// # extern crate vulkan_core as vulkan;
/// # use {serde::Serialize, vulkan_macros::Event};
/// #[derive(Serialize, Event)]
/// #[event(stream = "orders", kind = "order.placed")]
/// struct OrderPlaced {
///     #[event(key)]
///     order_id: u64,
///     total: u64,
/// }
/// ```
///
/// A consumer needs no `Event`: a handler takes anything that deserializes.
///
/// # Examples
///
/// Written by hand:
///
/// ```
/// use std::borrow::Cow;
/// use vulkan_core::Event;
///
/// #[derive(serde::Serialize)]
/// struct OrderPlaced {
///     order_id: u64,
///     total: u64,
/// }
///
/// impl Event for OrderPlaced {
///     const STREAM: &'static str = "orders";
///     const KIND: &'static str = "order.placed";
///
///     fn partition_key(&self) -> Option<Cow<'_, str>> {
///         Some(self.order_id.to_string().into())
///     }
/// }
///
/// let event = OrderPlaced { order_id: 7, total: 12_00 };
/// assert_eq!(event.partition_key().as_deref(), Some("7"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "write `#[derive(serde::Serialize, vulkan::Event)]` and \
            `#[event(stream = \"..\", kind = \"..\")]` on the type"
)]
pub trait Event: serde::Serialize {
    /// The stream to which values of this type are published.
    ///
    /// It obeys [`check_name`](vulkan_names::check_name).
    const STREAM: &'static str;

    /// What has happened, as handlers select it.
    ///
    /// It obeys [`check_kind`](vulkan_names::check_kind).
    const KIND: &'static str;

    /// The key whose events are delivered one after another, in order.
    ///
    /// Within a group at most one event of a key is being handled at any time.
    /// Events without a key, which is the default, are handled in any order and all at once.
    fn partition_key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

impl<T: Event> Event for &T {
    const STREAM: &'static str = T::STREAM;
    const KIND: &'static str = T::KIND;

    fn partition_key(&self) -> Option<Cow<'_, str>> {
        T::partition_key(self)
    }
}
