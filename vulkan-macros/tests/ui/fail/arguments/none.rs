use vulkan::{Handler, IntoHandler, handler};

#[handler(stream = "orders", group = "fraud")]
async fn screen() {}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<(), _, _>(screen);
}
