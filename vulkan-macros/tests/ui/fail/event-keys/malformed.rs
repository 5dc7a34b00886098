use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event]
struct Bare;

#[derive(serde::Serialize, Event)]
#[event = "orders"]
struct Valued;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct Field(#[event(key = "id")] u64, #[event(key("id"))] u64);

fn main() {}
