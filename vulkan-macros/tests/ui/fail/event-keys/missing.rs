use vulkan::Event;

#[derive(serde::Serialize, Event)]
struct Both;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders")]
struct Kind;

fn main() {
    let _ = Both.partition_key();
}
