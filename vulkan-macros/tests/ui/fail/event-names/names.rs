use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(stream = "Orders", kind = "order.*")]
struct Placed;

#[derive(serde::Serialize, Event)]
#[event(stream = "", kind = "")]
struct Empty;

fn main() {
    let _ = Placed::KIND;
}
