use vulkan::handler;

#[handler(
    stream = "orders",
    group = "fraud",
    kinds = ["order.placed", "order.>.paid", "order.pa*", "order..paid", "", "order.placed"],
)]
async fn screen(_order: u64) {}

fn main() {}
