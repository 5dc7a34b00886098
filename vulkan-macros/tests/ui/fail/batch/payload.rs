use vulkan::{Received, handler};

#[handler(stream = "orders", group = "load", batch = 100)]
async fn one(order: u64) {}

#[handler(stream = "orders", group = "load", batch = 100)]
async fn bare(orders: Vec<u64>) {}

#[handler(stream = "orders", group = "load", batch = 100)]
async fn borrowed(orders: &[Received<u64>]) {}

#[handler(stream = "orders", group = "load", batch = 100)]
async fn none() {}

#[handler(stream = "orders", group = "load")]
async fn forgotten(orders: Vec<Received<u64>>) {}

fn main() {}
