use vulkan::{Received, handler};

#[handler(stream = "orders", group = "load", batch = 0)]
async fn load(orders: Vec<Received<u64>>) {}

#[handler(stream = "orders", group = "load", batch = "many")]
async fn load_more(orders: Vec<Received<u64>>) {}

#[handler(stream = "orders", group = "load", priority = 1.5, weight = 0)]
async fn weigh(order: u64) {}

fn main() {}
