use vulkan::{Handler, IntoHandler, handler};

#[handler(stream = "orders", group = "fraud")]
async fn typed<T: serde::de::DeserializeOwned>(_order: T) {}

#[handler(stream = "orders", group = "fraud")]
async fn lifetime<'a>(_order: u64, _cx: &'a vulkan::Delivery) {}

#[handler(stream = "orders", group = "fraud")]
async fn implied(_order: impl serde::de::DeserializeOwned) {}

#[handler(stream = "orders", group = "fraud")]
async fn bounded(_order: u64)
where
    u64: Copy,
{
}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<(), _, _>(typed);
    register::<(), _, _>(implied);
}
