use vulkan::handler;

#[handler(stream("orders"), group: "fraud")]
async fn screen(_order: u64) {}

fn main() {}
