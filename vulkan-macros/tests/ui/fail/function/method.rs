use vulkan::handler;

struct Screen;

impl Screen {
    #[handler(stream = "orders", group = "fraud")]
    async fn screen(&self, _order: u64) {}
}

fn main() {
    let _ = Screen.screen(1);
}
