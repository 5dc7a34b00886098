use vulkan::handler;

#[handler(stream = "orders", group = "fraud", concurrency = 0)]
async fn zero(_order: u64) {}

fn main() {}
