use vulkan::{Handler, IntoHandler, handler};

use std::rc::Rc;

#[handler(stream = "orders", group = "fraud")]
async fn screen(_order: u64) {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<(), _, _>(screen);
}
