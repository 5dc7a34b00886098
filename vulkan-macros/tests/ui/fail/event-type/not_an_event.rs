use vulkan::Event;

#[derive(serde::Serialize)]
struct Placed;

fn publish(_: impl Event) {}

fn main() {
    publish(Placed);
}
