//! A worker as a process, of a group with a rate.
//!
//! The URL of the database is its only argument.

use std::time::Duration;

use vulkan::{Client, Worker, handler, shutdown_signal};

#[handler(stream = "orders", group = "paced", rate = "200/s", burst = 50)]
async fn begin(_: ()) {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the URL is missing")?;
    Worker::builder(Client::connect(&url).await?)
        .register(begin)
        // What it does is found by what look() says of the time, not by polling.
        .poll(Duration::from_secs(600))
        .run(shutdown_signal())
        .await?;
    Ok(())
}
