use vulkan::{Handler, IntoHandler, State, handler};

#[derive(Clone)]
struct Pool;

struct App;

#[handler(stream = "orders", group = "fraud")]
async fn screen(_order: u64, _pool: State<Pool>) {}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<App, _, _>(screen);
}
