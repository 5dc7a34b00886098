use vulkan::handler;

#[handler(stream, group = , retries, crate)]
async fn screen(_order: u64) {}

fn main() {}
