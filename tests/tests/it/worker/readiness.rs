use std::time::Duration;

use vulkan::{Client, HandlerOptions, Shutdown, Worker};
use vulkan_devpg::{FAST, Postgres};

use super::support::{on, until};
use crate::support::within;

/// Not before it has begun, not while the database is away, not when it stops; and in between again, by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_while_it_can_do_its_work() {
    let mut postgres = Postgres::start_private(FAST).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    client.migrate().await.unwrap();
    let handler = on(HandlerOptions::new("orders", "a"), |_| {
        Box::pin(async { Ok(()) })
    });
    let worker = Worker::builder(client)
        .register(handler)
        .poll(Duration::from_millis(50))
        .build()
        .unwrap();
    let readiness = worker.readiness();
    assert_eq!(readiness.reasons(), ["it has not started yet"]);
    let shutdown = Shutdown::new();
    let running = tokio::spawn(worker.run(shutdown.clone()));
    until("it to be ready", || async { readiness.is_ready() }).await;

    postgres.crash().await.unwrap();
    until("it to be not ready", || async { !readiness.is_ready() }).await;
    let why = readiness.reasons().join("; ");
    assert!(
        why.contains("cannot ") || why.contains("gives no answer"),
        "{why}"
    );
    postgres.restart().await.unwrap();
    until("it to be ready again", || async { readiness.is_ready() }).await;

    shutdown.stop();
    within("its end", running).await.unwrap().unwrap();
    assert_eq!(readiness.reasons(), ["it stops"]);
}
