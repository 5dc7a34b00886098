//! The crate may go by another name, and the usual names may mean something else.

mod reexport {
    pub extern crate vulkan as fire;
}

#[allow(dead_code)]
mod vulkan {}

#[allow(dead_code)]
mod shadows {
    struct Result;
    struct Option;
    trait Send {}
    trait Sync {}
    trait Default {}
    trait Future {}
    mod core {}
    mod std {}

    #[crate::reexport::fire::handler(
        stream = "orders",
        group = "fraud",
        kinds = ["order.*"],
        timeout = "30s",
        backoff = "1s",
        start = "latest",
        crate = crate::reexport::fire,
    )]
    async fn screen(_order: u64, _cx: &crate::reexport::fire::Delivery) {}

    #[derive(serde::Serialize, crate::reexport::fire::Event)]
    #[event(stream = "orders", kind = "order.placed", crate = crate::reexport::fire)]
    struct Placed(#[event(key)] u64);
}

fn main() {}
