use vulkan::{Handler, IntoHandler, State, handler};

type Number = State<u64>;

#[handler(stream = "orders", group = "fraud")]
async fn screen(
    _1: u64,
    _2: Number,
    _3: Number,
    _4: Number,
    _5: Number,
    _6: Number,
    _7: Number,
    _8: Number,
    _9: Number,
) {
}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<u64, _, _>(screen);
}
