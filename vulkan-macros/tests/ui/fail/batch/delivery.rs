use vulkan::{Delivery, Received, handler};

#[handler(stream = "orders", group = "load", batch = 100)]
async fn load(orders: Vec<Received<u64>>, cx: &Delivery) -> vulkan::Result {
    Ok(())
}

fn main() {}
