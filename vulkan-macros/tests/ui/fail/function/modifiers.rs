use vulkan::handler;

#[handler(stream = "orders", group = "fraud")]
async unsafe fn not_safe(_order: u64) {}

#[handler(stream = "orders", group = "fraud")]
async extern "C" fn external(_order: u64) {}

#[handler(stream = "orders", group = "fraud")]
const fn constant(_order: u64) {}

fn main() {}
