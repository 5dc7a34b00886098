use serde::Deserialize;

pub use crate::handler::{
    Batch, BatchHandler, BatchPayload, Call, Delivery, DeliveryArgument, FromBatch, FromDelivery,
    Handler, HandlerOptions, InBatches, IntoResult, Result,
};
pub use crate::runtime::{attempt, attempt_batch};
pub use vulkan_core::{Backoff, Breaker, Rate, Start};

/// Reads the payload for the first argument of a handler.
///
/// The bound is spelled out because `DeserializeOwned` would hide the advice that `serde` gives
/// when it is not met.
pub fn decode<T: for<'de> Deserialize<'de>>(delivery: &Delivery) -> Result<T> {
    Ok(delivery.decode()?)
}
