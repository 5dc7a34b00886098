use vulkan::{Delivery, handler};

#[handler(stream = "orders", group = "fraud")]
async fn exclusive(_order: u64, _cx: &mut Delivery) {}

#[handler(stream = "orders", group = "fraud")]
async fn eternal(_order: u64, _cx: &'static Delivery) {}

fn main() {}
