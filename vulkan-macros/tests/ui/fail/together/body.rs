use vulkan::handler;

#[handler(stream = "orders", group = "fraud", retry = 5)]
async fn screen(order: u64) {
    let _: String = order;
}

fn main() {}
