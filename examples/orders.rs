//! The quickstart of the README: `cargo run --bin orders`.

use serde::{Deserialize, Serialize};
use vulkan::{Client, Delivery, Event, Shutdown, State, Worker, handler};

#[derive(Serialize, Deserialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct OrderPlaced {
    id: u64,
    #[event(key)]
    customer: String,
    total: u64,
}

#[handler(stream = "orders", group = "fraud", retries = 5)]
async fn screen(order: OrderPlaced, cx: &Delivery, shutdown: State<Shutdown>) -> vulkan::Result {
    println!(
        "order {} of {}: {} at offset {}",
        order.id,
        order.customer,
        order.total,
        cx.offset()
    );
    if order.id == 3 {
        shutdown.stop();
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A private Postgres; in your program, the one you have: Client::connect("postgres://…").
    let database = vulkan_devpg::shared().await.create_database().await?;
    let client = Client::connect(&database.url()).await?;
    client.migrate().await?;
    client.create_stream("orders").await?;
    for (id, total) in [(1, 120), (2, 80), (3, 4_000)] {
        client
            .publish(&OrderPlaced {
                id,
                customer: "ada".into(),
                total,
            })
            .await?;
    }
    let shutdown = Shutdown::new();
    Worker::builder(client)
        .state(shutdown.clone())
        .register(screen)
        .run(shutdown)
        .await?;
    Ok(())
}
