//! The example every reader sees first.

use std::sync::Arc;
use vulkan::{Delivery, State, handler};

#[derive(serde::Deserialize)]
pub struct OrderPlaced {
    pub id: u64,
}

pub struct Pool;

#[handler(stream = "orders", group = "fraud", retries = 5)]
pub async fn screen(order: OrderPlaced, cx: &Delivery, db: State<Arc<Pool>>) -> vulkan::Result {
    let _ = (order.id, cx.offset(), &*db);
    Ok(())
}

fn main() {}
