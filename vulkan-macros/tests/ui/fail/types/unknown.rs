use vulkan::{Delivery, handler};

#[handler(stream = "orders", group = "fraud")]
async fn screen(_order: Order, _cx: &Delivery) {}

fn main() {}
