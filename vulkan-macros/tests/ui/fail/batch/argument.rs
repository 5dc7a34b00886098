use vulkan::{Client, Delivery, FromDelivery, Received, Result, Worker, handler};

struct Tenant;

impl<S: Sync> FromDelivery<S> for Tenant {
    async fn from_delivery(_: &Delivery, _: &S) -> Result<Self> {
        Ok(Self)
    }
}

#[handler(stream = "orders", group = "load", batch = 100)]
async fn load(orders: Vec<Received<u64>>, tenant: Tenant) {}

fn register(client: Client) {
    let _ = Worker::builder(client).register(load);
}

fn main() {}
