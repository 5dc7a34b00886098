use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
#[event(stream = "orders")]
struct Placed(#[event(key, key)] u64);

fn main() {}
