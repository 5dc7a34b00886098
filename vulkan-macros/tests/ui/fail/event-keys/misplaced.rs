use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.placed", key)]
struct Placed {
    #[event(kind = "order.placed")]
    id: u64,
}

fn main() {}
