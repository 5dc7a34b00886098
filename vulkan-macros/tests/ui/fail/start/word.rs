use vulkan::handler;

#[handler(stream = "orders", group = "fraud", start = "newest")]
async fn screen(_order: u64) {}

fn main() {}
