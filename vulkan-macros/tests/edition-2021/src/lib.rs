//! A crate of edition 2021 that uses the macros.
//!
//! Before edition 2024 a return type captured lifetimes only on request,
//! and a test of `vulkan-macros` itself could not tell whether the macros count on that.

use vulkan::{handler, Delivery, Event, State};

/// An event with a key.
#[derive(Debug, serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
pub struct Placed(#[event(key)] pub u64);

/// A handler that borrows the delivery. In edition 2024 `gen` is a keyword.
///
/// # Errors
///
/// If the order is not the one expected.
#[handler(stream = "orders", group = "fraud")]
pub async fn screen(order: u64, cx: &Delivery, gen: State<String>) -> vulkan::Result {
    std::future::ready(()).await;
    if (order, cx.key(), gen.as_str()) != (7, Some("7"), "state") {
        return Err(vulkan::HandlerError::dead("something else was delivered"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vulkan::Handler;

    #[tokio::test]
    async fn works_alike() {
        let delivery = Delivery::of(&Placed(7)).unwrap().build();
        let state = String::from("state");
        screen(7, &delivery, State(state.clone())).await.unwrap();
        (screen {}).call(&delivery, &state).await.unwrap();
    }
}
