//! A worker as a process that is replaced by the next one: it handles messages that take as many
//! milliseconds as they say, and prints where each begins and ends.
//!
//! Its arguments are the URL of the database, the version of the program, and the grace period in
//! milliseconds.

use std::process::ExitCode;
use std::time::Duration;

use vulkan::{Client, Delivery, RunError, Worker, handler, shutdown_signal};

#[handler(
    stream = "orders",
    group = "rolling",
    retries = 3,
    backoff = "10ms..10ms"
)]
async fn work(millis: u64, delivery: &Delivery) -> vulkan::Result {
    println!("begin {} {}", delivery.offset(), delivery.attempt());
    tokio::time::sleep(Duration::from_millis(millis)).await;
    // Nothing is awaited after this: what has said so has succeeded.
    println!("end {} {}", delivery.offset(), delivery.attempt());
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
