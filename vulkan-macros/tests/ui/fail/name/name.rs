use vulkan::handler;

#[handler(stream = "orders", group = "fraud", name = "Screen!")]
async fn screen(_order: u64) {}

fn main() {}
