use vulkan::{Received, Tx, handler};

#[handler(stream = "orders", group = "ledger")]
async fn book(order: u64, from: Tx, to: vulkan::Tx) {}

#[handler(stream = "orders", group = "load", batch = 100)]
async fn load(orders: Vec<Received<u64>>, from: Tx, to: Tx) {}

fn main() {}
