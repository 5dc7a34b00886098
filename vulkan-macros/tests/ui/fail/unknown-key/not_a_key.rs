use vulkan::handler;

#[handler("orders", group = "fraud", 5)]
async fn screen(_order: u64) {}

fn main() {}
