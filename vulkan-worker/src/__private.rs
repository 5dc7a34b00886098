pub use serde::de::DeserializeOwned;

pub use crate::handler::{
    Call, Delivery, DeliveryArgument, FromDelivery, Handler, HandlerOptions, IntoResult, Result,
};
pub use vulkan_core::{Backoff, Start};

/// Reads the payload for the first argument of a handler.
pub fn decode<T: DeserializeOwned>(delivery: &Delivery) -> Result<T> {
    Ok(delivery.decode()?)
}
