use vulkan::handler;

#[handler(stream = "orders", group = "fraud", breaker = "50%")]
async fn short(_order: u64) {}

#[handler(stream = "orders", group = "fraud", breaker = "150% of 20 in 1m")]
async fn percent(_order: u64) {}

#[handler(stream = "orders", group = "fraud", breaker = "50% of 20 in 1m, pause 1m..1s")]
async fn reversed(_order: u64) {}

#[handler(stream = "orders", group = "fraud", breaker = true)]
async fn flag(_order: u64) {}

fn main() {}
