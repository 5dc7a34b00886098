use vulkan::handler;

#[handler(stream = "orders", group = "fraud", backoff = "5m..2s")]
async fn reversed(_order: u64) {}

#[handler(stream = "orders", group = "fraud", backoff = "2s-5m")]
async fn dash(_order: u64) {}

#[handler(stream = "orders", group = "fraud", backoff = "2s..")]
async fn open(_order: u64) {}

fn main() {}
