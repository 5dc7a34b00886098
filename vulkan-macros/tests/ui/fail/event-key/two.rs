use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct Placed {
    #[event(key)]
    id: u64,
    #[event(key)]
    customer: u64,
}

fn main() {}
