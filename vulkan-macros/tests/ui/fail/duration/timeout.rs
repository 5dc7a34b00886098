use vulkan::handler;

#[handler(stream = "orders", group = "fraud", timeout = "30sec")]
async fn unit(_order: u64) {}

#[handler(stream = "orders", group = "fraud", timeout = "30")]
async fn no_unit(_order: u64) {}

#[handler(stream = "orders", group = "fraud", timeout = "")]
async fn empty(_order: u64) {}

#[handler(stream = "orders", group = "fraud", timeout = "40000d")]
async fn long(_order: u64) {}

fn main() {}
