use vulkan::handler;

#[handler(stream = "orders", group = "fraud")]
struct Screen;

#[handler(stream = "orders", group = "fraud")]
mod screen {}

fn main() {
    let _ = Screen;
}
