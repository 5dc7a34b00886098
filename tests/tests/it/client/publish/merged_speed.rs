use std::time::{Duration, Instant};

use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinSet;
use vulkan::{Client, Message, PublisherOptions};
use vulkan_devpg::Postgres;

const EVENTS: usize = 60_000;
const TASKS: usize = 1_000;

/// Single publishes of a thousand tasks, each waiting for its own answer, on a server that commits to disk:
/// raw inserts and plain publishes on 16 connections, and the merging publisher.
///
/// `cargo test --release -p vulkan-tests --test it merged_speed -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn merged_publishes_against_single_ones() {
    let postgres = Postgres::start_private(&[]).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(600))
        .connect_with(database.connect_options())
        .await
        .unwrap();
    let client = Client::new(pool.clone());
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    sqlx::raw_sql("CREATE TABLE raw (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, payload jsonb NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    for _ in 0..2 {
        let (all, publishing) = (pool.clone(), client.clone());
        let raw = rate(move |n| insert(all.clone(), n)).await;
        let single = rate(move |n| {
            let client = publishing.clone();
            async move {
                client.publish(event(n)).await.unwrap();
            }
        })
        .await;
        println!("raw INSERT {raw:.0}/s, Client::publish {single:.0}/s");
        for in_flight in [1, 2, 4] {
            let options = PublisherOptions {
                in_flight,
                ..PublisherOptions::default()
            };
            let publisher = client.publisher_with(options);
            let merged = rate(move |n| {
                let publisher = publisher.clone();
                async move {
                    publisher.publish(event(n)).await.unwrap();
                }
            })
            .await;
            println!(
                "{in_flight} in flight: Publisher {merged:.0}/s, {:.1} x raw INSERT",
                merged / raw
            );
        }
    }
    pool.close().await;
    postgres.stop().await.unwrap();
}

fn event(n: usize) -> Message {
    Message::new("orders", "order.placed", &n).unwrap()
}

async fn insert(pool: PgPool, n: usize) {
    sqlx::query("INSERT INTO raw (kind, payload) VALUES ($1, $2) RETURNING id")
        .bind("order.placed")
        .bind(sqlx::types::Json(n))
        .fetch_one(&pool)
        .await
        .unwrap();
}

async fn rate<F: Future<Output = ()> + Send + 'static>(
    publish: impl Fn(usize) -> F + Clone + Send + 'static,
) -> f64 {
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let publish = publish.clone();
        tasks.spawn(async move {
            for n in 0..EVENTS / TASKS {
                publish(task * EVENTS + n).await;
            }
        });
    }
    tasks.join_all().await;
    EVENTS as f64 / since.elapsed().as_secs_f64()
}
