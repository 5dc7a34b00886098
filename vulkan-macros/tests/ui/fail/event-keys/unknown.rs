use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(streem = "orders", kind = "order.placed", topic = "orders")]
struct Placed(#[event(id)] u64);

fn main() {}
