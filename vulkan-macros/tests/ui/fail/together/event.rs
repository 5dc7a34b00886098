use vulkan::Event;

#[derive(serde::Serialize, Event)]
#[event(stream = "Orders", kinds = "order.placed")]
struct Placed(#[event(kye)] u64, #[event(stream)] u64);

fn main() {
    let _ = Placed::STREAM;
}
