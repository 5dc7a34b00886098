use std::future::Future;

use super::{Delivery, Result};

/// A type that a handler can ask for after its payload, by value.
///
/// [`State`](super::State) and [`Tx`](super::Tx) are. Of your own, implement it where several handlers
/// would begin with the same lines: a tenant from a header, a client for the region of a key.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Delivery, FromDelivery, Result, ResultExt};
///
/// struct Tenant(String);
///
/// impl<S: Sync> FromDelivery<S> for Tenant {
///     async fn from_delivery(delivery: &Delivery, _: &S) -> Result<Self> {
///         let tenant = delivery.header("tenant").dead()?;
///         Ok(Self(tenant.to_owned()))
///     }
/// }
///
/// // `#[handler(stream = "orders", group = "billing")]`
/// async fn bill(order: u64, Tenant(tenant): Tenant) {
///     println!("{tenant} pays for {order}");
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler for the state `{S}`",
    label = "not an argument of a handler",
    note = "after the payload a handler takes `&Delivery`, `State<T>` for a `T` from the state \
            of the worker, `Tx`, and whatever else implements `FromDelivery<{S}>`"
)]
pub trait FromDelivery<S>: Sized + Send {
    /// Makes the argument for one delivery. An implementation may be an `async fn`.
    ///
    /// # Errors
    ///
    /// An error ends the delivery as an error of the handler would,
    /// and the handler is not called.
    fn from_delivery(delivery: &Delivery, state: &S) -> impl Future<Output = Result<Self>> + Send;
}

/// What an argument that is a reference may point to: [`Delivery`] alone.
///
/// It exists for the message that the compiler prints about any other reference.
#[diagnostic::on_unimplemented(
    message = "a handler takes `&Delivery` by reference and nothing else, not `&{Self}`",
    label = "expected `Delivery`",
    note = "take state by value, as `State<T>`, and the payload by value as the first argument"
)]
#[doc(hidden)]
pub trait DeliveryArgument {
    fn of(delivery: &Delivery) -> &Self;
}

impl DeliveryArgument for Delivery {
    fn of(delivery: &Delivery) -> &Self {
        delivery
    }
}
