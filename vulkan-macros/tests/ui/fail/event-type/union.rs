use vulkan::Event;

#[derive(Event)]
#[event(stream = "orders", kind = "order.placed")]
union Placed {
    id: u64,
}

fn main() {}
