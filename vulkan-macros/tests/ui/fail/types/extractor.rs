use vulkan::{Handler, IntoHandler, handler};

struct Pool;

#[handler(stream = "orders", group = "fraud")]
async fn screen(_order: u64, _pool: Pool) {}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<(), _, _>(screen);
}
