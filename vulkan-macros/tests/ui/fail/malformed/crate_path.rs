use vulkan::handler;

#[handler(stream = "orders", group = "fraud", crate = "vulkan")]
async fn screen(_order: u64) {}

fn main() {}
