//! A worker as a process, of a group with limits: each handler holds an advisory lock as long as it works, by which
//! others can count what is in work without asking the engine.
//!
//! The URL of the database is its only argument.

use std::time::Duration;

use tokio::time::sleep;
use vulkan::{Client, Delivery, State, Worker, handler, shutdown_signal};

/// How long the handler works.
#[derive(serde::Deserialize)]
struct Work {
    millis: u64,
}

#[handler(
    stream = "orders",
    group = "limited",
    lease = "3s",
    backoff = "10ms..10ms",
    max_in_flight = 10,
    max_in_flight_per_prefix = 4
)]
async fn hold(work: Work, delivery: &Delivery, State(client): State<Client>) -> vulkan::Result {
    // The server lets go of the lock with the connection, also when the process is killed.
    let mut tx = client.begin().await?;
    let prefix = delivery.key().and_then(|key| key.split(':').next());
    sqlx::query("SELECT pg_advisory_xact_lock(777000 + hashtext($1) % 1000, $2)")
        .bind(prefix.unwrap_or_default())
        .bind(i32::try_from(delivery.offset())?)
        .execute(&mut *tx)
        .await?;
    sleep(Duration::from_millis(work.millis)).await;
    tx.rollback().await?;
    if delivery.attempt() == 1 && delivery.offset() % 10 == 0 {
        return Err("not this time".into());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the URL is missing")?;
    let client = Client::connect(&url).await?;
    Worker::builder(client.clone())
        .state(client)
        .register(hold)
        .concurrency(6)
        .poll(Duration::from_millis(200))
        .run(shutdown_signal())
        .await?;
    Ok(())
}
