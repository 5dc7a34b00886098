use vulkan::{Delivery, Handler, IntoHandler, handler};

#[handler(stream = "orders", group = "fraud")]
async fn screen(_order: &u64) {}

#[handler(stream = "orders", group = "fraud")]
async fn text(_order: &str, _cx: &Delivery) {}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<(), _, _>(screen);
}
