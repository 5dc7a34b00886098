use vulkan::handler;

#[handler(stream = "orders", group = "fraud", retries = -1)]
async fn negative(_order: u64) {}

#[handler(stream = "orders", group = "fraud", retries = 1001)]
async fn many(_order: u64) {}

#[handler(stream = "orders", group = "fraud", retries = "5")]
async fn text(_order: u64) {}

#[handler(stream = "orders", group = "fraud", retries = 2.5)]
async fn fraction(_order: u64) {}

fn main() {}
