//! Single events, evenly spread in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vulkan::Client;

use crate::Result;
use crate::clock::now_us;
use crate::order::Order;

/// As many publishes are under way at once.
const AT_ONCE: usize = 16;

/// Publishes so many events a second, each in a transaction of its own, and each with the time at which it was due.
/// Returns how many they were, and the seconds it took.
pub(crate) async fn trickle(client: &Client, rate: u64, time: Duration) -> Result<(u64, f64)> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let begun = Instant::now();
    let many = (time.as_secs_f64() * rate as f64) as u64;
    for id in 0..many {
        let due = begun + Duration::from_secs_f64(id as f64 / rate as f64);
        tokio::time::sleep_until(due.into()).await;
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let client = client.clone();
        running.spawn(async move {
            let order = Order {
                at_us: Some(now_us()),
                ..Order::new(id)
            };
            let published = client.publish(order.message()?).await;
            drop(permit);
            published?;
            Ok::<_, crate::Failure>(())
        });
        while let Some(done) = running.try_join_next() {
            done??;
        }
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok((many, begun.elapsed().as_secs_f64()))
}
