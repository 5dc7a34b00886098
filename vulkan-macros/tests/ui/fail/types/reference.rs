use vulkan::handler;

struct Limits;

#[handler(stream = "orders", group = "fraud")]
async fn screen(_order: u64, _limits: &Limits) {}

fn main() {}
