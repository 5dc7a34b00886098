use vulkan::handler;

const STREAM: &str = "orders";

#[handler(stream = STREAM, group = concat!("fr", "aud"), timeout = 30, kinds = [KIND])]
async fn screen(_order: u64) {}

fn main() {}
