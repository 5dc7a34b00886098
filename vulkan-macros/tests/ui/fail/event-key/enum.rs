use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.changed")]
enum Changed {
    Price {
        #[event(key)]
        id: u64,
    },
}

fn main() {}
