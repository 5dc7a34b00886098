use vulkan::{Handler, IntoHandler, handler};

#[handler(stream = "orders", group = "fraud")]
fn screen(_order: u64) -> vulkan::Result {
    std::future::ready(()).await;
    Ok(())
}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<(), _, _>(screen);
    let _ = screen(1);
}
