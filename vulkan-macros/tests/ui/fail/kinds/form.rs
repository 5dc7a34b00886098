use vulkan::handler;

#[handler(stream = "orders", group = "fraud", kinds = [])]
async fn empty(_order: u64) {}

#[handler(stream = "orders", group = "fraud", kinds = ("order.placed", "order.paid"))]
async fn tuple(_order: u64) {}

fn main() {}
