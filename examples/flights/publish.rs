use std::time::{Duration, Instant};

use vulkan::Client;

use crate::Error;
use crate::flight::Flight;

const BATCH: usize = 1000;

/// Publishes all flights in the order of the CSV. Returns how long that took.
pub(crate) async fn all(client: &Client, flights: &[Flight]) -> Result<Duration, Error> {
    let started = Instant::now();
    for batch in flights.chunks(BATCH) {
        client.publish_many(batch).await?;
    }
    Ok(started.elapsed())
}
