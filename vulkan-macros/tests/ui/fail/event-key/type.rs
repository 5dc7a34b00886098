use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct Placed {
    #[event(key)]
    price: f64,
}

fn main() {}
