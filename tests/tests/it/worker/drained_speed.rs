use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use vulkan::{Client, Message, Worker};
use vulkan_devpg::Postgres;

use super::support::{Running, on, options};

const EVENTS: usize = 200_000;
const BATCH: usize = 1_000;
const KEYS: usize = 1_000;

/// Events published in batches, and worked off by a handler that does nothing, on a server that commits to disk:
/// without keys, and with a thousand. `VULKAN_TEST_EVENTS` is how many.
///
/// `cargo test --release -p vulkan-tests --test it drained_speed -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_backlog_is_published_and_worked_off() {
    let events = match std::env::var("VULKAN_TEST_EVENTS") {
        Ok(events) => events.parse().expect("VULKAN_TEST_EVENTS is a number"),
        Err(_) => EVENTS,
    };
    let postgres = Postgres::start_private(&[]).await.unwrap();
    for round in 1..=3 {
        for keys in [None, Some(KEYS)] {
            let database = postgres.create_database().await.unwrap();
            let client = Client::connect(&database.url()).await.unwrap();
            client.migrate().await.unwrap();
            client.create_stream("orders").await.unwrap();
            let published = publish(&client, events, keys).await;
            let drained = drain(&client, events).await;
            let what = keys.map_or("no keys".into(), |keys| format!("{keys} keys"));
            println!("{round}: {what}: published {published:.0}/s, worked off {drained:.0}/s");
            client.pool().close().await;
        }
    }
    postgres.stop().await.unwrap();
}

/// How many are published in a second.
async fn publish(client: &Client, events: usize, keys: Option<usize>) -> f64 {
    let since = Instant::now();
    for first in (0..events).step_by(BATCH) {
        let batch = (first..events.min(first + BATCH)).map(|n| {
            let event = Message::new("orders", "order.placed", &n).unwrap();
            match keys {
                Some(keys) => event.key((n % keys).to_string()),
                None => event,
            }
        });
        client.publish_many(batch).await.unwrap();
    }
    events as f64 / since.elapsed().as_secs_f64()
}

/// How many are handled in a second, from the start of the worker on.
async fn drain(client: &Client, events: usize) -> f64 {
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handled);
    let handler = on(options("audit"), move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    });
    let since = Instant::now();
    let running = Running::start(Worker::builder(client.clone()).register(handler));
    while handled.load(Ordering::Relaxed) < events {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(since.elapsed() < Duration::from_secs(600), "{handled:?}");
    }
    let took = since.elapsed();
    // What it holds is settled, and nothing is handled twice.
    running.stop().await.unwrap();
    assert_eq!(handled.load(Ordering::Relaxed), events);
    events as f64 / took.as_secs_f64()
}
