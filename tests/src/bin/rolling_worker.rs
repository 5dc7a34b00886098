//! A worker as a process that is replaced by the next one: it handles messages that take as many
//! milliseconds as they say, one by one, in batches and in transactions, and prints where each begins and ends.
//!
//! Its arguments are the URL of the database, the version of the program, and the grace period in
//! milliseconds.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::sleep;
use vulkan::{Client, Delivery, Received, RunError, Tx, Worker, handler, shutdown_signal};

fn say(what: &str, delivery: &Delivery) {
    println!("{what} {} {}", delivery.offset(), delivery.attempt());
}

#[handler(
    stream = "orders",
    group = "rolling",
    kinds = "one",
    retries = 3,
    backoff = "10ms..10ms"
)]
async fn work(millis: u64, delivery: &Delivery) {
    say("begin", delivery);
    sleep(Duration::from_millis(millis)).await;
    // Nothing is awaited after this: what has said so has succeeded.
    say("end", delivery);
}

#[handler(
    stream = "orders",
    group = "rolling-batches",
    kinds = "some",
    batch = 5,
    retries = 3,
    backoff = "10ms..10ms"
)]
async fn load(messages: Vec<Received<u64>>) {
    for message in &messages {
        say("begin", message.delivery());
    }
    let slowest = messages.iter().map(|message| **message).max();
    sleep(Duration::from_millis(slowest.unwrap_or_default())).await;
    for message in &messages {
        say("end", message.delivery());
    }
}

/// Leaves its mark in the table `effects`, which would hold it twice. It has ended with the commit, and that is not here.
#[handler(
    stream = "orders",
    group = "rolling-transactions",
    kinds = "book",
    retries = 3,
    backoff = "10ms..10ms",
    concurrency = 3,
    max_in_flight = 15
)]
async fn book(millis: u64, delivery: &Delivery, mut tx: Tx) -> vulkan::Result {
    say("begin", delivery);
    sqlx::query("INSERT INTO effects VALUES ($1)")
        .bind(delivery.offset())
        .execute(&mut *tx)
        .await?;
    sleep(Duration::from_millis(millis)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, version, grace] = arguments.as_slice() else {
        return Err("give a URL, a version and a grace period".into());
    };
    let shutdown = shutdown_signal();
    println!("up");
    let worker = Worker::builder(Client::connect(url).await?)
        .register(work)
        .register(load)
        .register(book)
        .version(version)
        .grace(Duration::from_millis(grace.parse()?))
        .concurrency(16)
        .run(shutdown);
    match worker.await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunError::CutOff { .. }) => Ok(ExitCode::from(3)),
        Err(error) => Err(error.into()),
    }
}
