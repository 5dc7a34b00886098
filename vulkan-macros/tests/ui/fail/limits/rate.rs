use vulkan::handler;

#[handler(stream = "orders", group = "fraud", rate = "100")]
async fn no_time(_order: u64) {}

#[handler(stream = "orders", group = "fraud", rate = "0/s")]
async fn zero(_order: u64) {}

#[handler(stream = "orders", group = "fraud", rate = "5/w")]
async fn unit(_order: u64) {}

#[handler(stream = "orders", group = "fraud", rate = 100)]
async fn number(_order: u64) {}

fn main() {}
