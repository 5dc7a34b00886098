use vulkan::handler;

#[handler(
    stream = "orders",
    group = "fraud",
    timeout = "0s",
    lease = "0ms",
    backoff = "0s..1m"
)]
async fn screen(_order: u64) {}

fn main() {}
