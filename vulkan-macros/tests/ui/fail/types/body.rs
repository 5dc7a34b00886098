use vulkan::handler;

#[handler(stream = "orders", group = "fraud")]
async fn screen(order: u64) -> vulkan::Result {
    let _: String = order;
    Ok(())
}

fn main() {}
