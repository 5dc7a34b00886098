use vulkan::{Delivery, Handler, IntoHandler, handler};

#[handler(
    stream = "Orders",
    retry = 5,
    timeout = "30",
    backoff = "5m..2s",
    concurrency = 0
)]
fn screen(_order: &u64, _cx: &mut Delivery) {}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<(), _, _>(screen);
}
