use vulkan::Event;

#[derive(Event)]
#[event(stream = "orders", kind = "order.placed")]
struct Placed;

fn main() {}
