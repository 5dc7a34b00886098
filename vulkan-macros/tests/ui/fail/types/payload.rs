use vulkan::handler;

struct Order;

#[handler(stream = "orders", group = "fraud")]
async fn screen(_order: Order) {}

fn main() {}
