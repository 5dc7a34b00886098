use vulkan::handler;

#[handler(stream = "", group = "fraud")]
async fn empty(_order: u64) {}

#[handler(stream = "or ders", group = "fraud")]
async fn space(_order: u64) {}

#[handler(stream = ".orders", group = "fraud")]
async fn first(_order: u64) {}

fn main() {}
