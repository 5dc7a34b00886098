use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use vulkan::{DryRun, Worker};

use super::support::{Gate, Process, Running, on, options, until};
use crate::support::{Publish, TestDb};

const GROUP: &str = "process";

/// When the last message was handed out, and the last run of a key.
const LAST_CLAIM: &str = "SELECT max(t.claimed_at) FROM (
    SELECT claimed_at FROM vulkan.claims WHERE origin = 'claim' UNION ALL
    SELECT claimed_at FROM vulkan.lanes UNION ALL SELECT claimed_at FROM vulkan.runs UNION ALL
    SELECT claimed_at FROM vulkan.exceptions) t";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_group_hands_out_nothing_to_any_process() {
    let db = TestDb::new().await;
    let mut processes: Vec<Process> = (0..3).map(|_| Process::start(&db.url())).collect();
    let enough = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (pool, enough) = (db.pool.clone(), Arc::clone(&enough));
        tokio::spawn(async move {
            let mut published = 0;
            while !enough.load(Ordering::Relaxed) {
                let event = Publish::new("deed").payload(json!("succeed"));
                event.send(&pool).await;
                event.key(&format!("k{}", published % 7)).send(&pool).await;
                published += 2;
            }
            published
        })
    };
    for process in &mut processes {
        until("the group to be there", || async {
            db.value::<bool>("SELECT EXISTS (SELECT FROM vulkan.groups)")
                .await
        })
        .await;
        process.let_go().await;
    }
    let client = db.client().await;
    for _ in 0..5 {
        let done = db.count(GROUP, "done").await;
        until("work to be under way", || async {
            db.count(GROUP, "done").await > done + 20
        })
        .await;
        client.pause("orders", GROUP, DryRun::No).await.unwrap();
        let paused: DateTime<Utc> = db.value("SELECT clock_timestamp()").await;
        until("what is in flight to finish", || async {
            db.count(GROUP, "processing").await == 0
        })
        .await;
        until(
            "all of them to have looked for work, many times",
            || async {
                sqlx::query_scalar::<_, bool>("SELECT clock_timestamp() > $1 + interval '1 second'")
                    .bind(paused)
                    .fetch_one(&db.pool)
                    .await
                    .unwrap()
            },
        )
        .await;
        let last: DateTime<Utc> = db.value(LAST_CLAIM).await;
        assert!(last < paused, "handed out at {last}, paused at {paused}");
        assert!(db.count(GROUP, "ready").await > 0, "there was work");
        client.resume("orders", GROUP, DryRun::No).await.unwrap();
    }
    enough.store(true, Ordering::Relaxed);
    let published = publishing.await.unwrap();
    db.until_done(GROUP, published).await;
    db.check().await;
}

#[tokio::test]
async fn a_resumed_group_goes_on_at_once() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("naps"), move |delivery| {
        gate.tell(delivery.offset());
        Box::pin(async { Ok(()) })
    });
    // It would look by itself only after minutes.
    let client = db.client().await;
    let builder = Worker::builder(client.clone()).poll(Duration::from_secs(600));
    let running = Running::start(builder.register(handler));
    let first = Publish::new("a").send(&db.pool).await;
    assert_eq!(came.next().await, first);
    client.pause("orders", "naps", DryRun::No).await.unwrap();
    let second = Publish::new("a").send(&db.pool).await;
    let keyed = Publish::keyed("k").send(&db.pool).await;
    // Woken by these and finding nothing, it has gone back to sleep: it holds the bell again.
    until("the worker to sleep", || async {
        db.value::<bool>(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1459617794 AND granted
                            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .await
    })
    .await;
    assert!(came.nothing_else());
    let since = Instant::now();
    client.resume("orders", "naps", DryRun::No).await.unwrap();
    assert_eq!(came.take(2).await, [second, keyed]);
    assert!(
        since.elapsed() < Duration::from_secs(10),
        "{:?}",
        since.elapsed()
    );
    running.stop().await.unwrap();
}
