//! A worker whose handlers write in the transaction that marks their messages done, as a process to be killed.
//!
//! The URL of the database is its only argument. It says `open` whenever a transaction is under way.

use std::time::Duration;

use vulkan::{Client, Delivery, Message, Received, State, Tx, Worker, handler, shutdown_signal};

/// Leaves its marks in the table `effects`, which would hold them twice, and in the stream `follow-ups`.
async fn leave_marks(tx: &mut Tx, client: &Client, cx: &Delivery) -> vulkan::Result {
    sqlx::query("INSERT INTO effects VALUES ($1, $2)")
        .bind(cx.group())
        .bind(cx.offset())
        .execute(&mut **tx)
        .await?;
    let follow_up = Message::new("follow-ups", cx.group(), &cx.offset())?;
    client.publish_in(&mut **tx, follow_up).await?;
    Ok(())
}

/// Long enough to be killed in, and longer for some than for others.
async fn linger(offset: i64) {
    println!("open");
    tokio::time::sleep(Duration::from_millis(offset.unsigned_abs() % 20)).await;
}

#[handler(
    stream = "orders",
    group = "book",
    retries = 1000,
    lease = "1s",
    backoff = "10ms..10ms"
)]
async fn book(_: (), cx: &Delivery, client: State<Client>, mut tx: Tx) -> vulkan::Result {
    leave_marks(&mut tx, &client, cx).await?;
    linger(cx.offset()).await;
    Ok(())
}

#[handler(
    stream = "orders",
    group = "load",
    batch = 10,
    retries = 1000,
    lease = "1s",
    backoff = "10ms..10ms"
)]
async fn load(messages: Vec<Received<()>>, client: State<Client>, mut tx: Tx) -> vulkan::Result {
    for message in &messages {
        leave_marks(&mut tx, &client, message.delivery()).await?;
    }
    linger(messages[0].delivery().offset()).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the URL is missing")?;
    let client = Client::connect(&url).await?;
    let worker = Worker::builder(client.clone())
        .state(client)
        .register(book)
        .register(load)
        .concurrency(8)
        .poll(Duration::from_millis(50))
        .run(shutdown_signal());
    Ok(worker.await?)
}
