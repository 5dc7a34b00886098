use vulkan::handler;

#[handler(stream = "orders", group = "fraud", queue = "high")]
async fn screen(_order: u64) {}

fn main() {}
