//! The examples of the guides, compiled and run as documentation tests.

#[cfg(doctest)]
mod guides;

use std::time::Duration;

use tokio::task::JoinHandle;
use vulkan::{Client, Shutdown};

/// Longer than any example takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stops the worker of an example once every group has had messages, and all of them are done at the first attempt.
///
/// Await what it returns when the worker has ended: it fails if that never came.
#[must_use = "await it, so that an example fails whose handlers were not called"]
pub fn stop_when_done(client: &Client, shutdown: &Shutdown) -> JoinHandle<()> {
    let (client, shutdown) = (client.clone(), shutdown.clone());
    tokio::spawn(async move {
        let done = tokio::time::timeout(PATIENCE, all_done(&client)).await;
        shutdown.stop();
        match done {
            Ok(answer) => answer.expect("the database answers"),
            Err(_) => panic!("after {PATIENCE:?} not every group has messages, all of them done"),
        }
    })
}

async fn all_done(client: &Client) -> Result<(), sqlx::Error> {
    let done = "SELECT coalesce(bool_and(of_group.done), false) FROM (
        SELECT coalesce(bool_and(d.status = 'done' AND d.attempts = 1), false) AS done
        FROM vulkan.groups g JOIN vulkan.streams s USING (stream_id)
        LEFT JOIN vulkan.deliveries d ON d.stream = s.name AND d.consumer_group = g.name
        GROUP BY g.group_id) of_group";
    while !sqlx::query_scalar(done).fetch_one(client.pool()).await? {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
