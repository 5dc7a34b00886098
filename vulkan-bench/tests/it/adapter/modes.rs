use sqlx::PgPool;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::support::{Adapter, within};

async fn published(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM vulkan.events")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_fixed_rate_is_offered_and_handled() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let variables = [("PRODUCER_RATE", "300"), ("SAMPLE_EVERY_S", "1")];
    let mut adapter = Adapter::start(&database.url(), &variables);
    adapter.descriptor().await;
    let mut enqueued = Vec::new();
    while enqueued.len() < 6 {
        let sample = adapter.sample().await;
        enqueued.push(sample.value("enqueue_rate"));
    }
    // A second that is slow on a busy machine is made up for in the next.
    let mean = enqueued.iter().sum::<f64>() / enqueued.len() as f64;
    assert!((200.0..400.0).contains(&mean), "{enqueued:?}");
    let sample = adapter
        .sample_with("messages to be handled as fast as they come", |sample| {
            sample.value("completion_rate") > 250.0 && sample.value("queue_depth") < 300.0
        })
        .await;
    assert!(sample.value("claim_p50_ms") > 0.0, "{sample:?}");
}

#[tokio::test]
async fn the_rate_is_changed_by_a_file() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0").unwrap();
    let variables = [
        ("PRODUCER_RATE", "300"),
        ("SAMPLE_EVERY_S", "1"),
        ("PRODUCER_RATE_CONTROL_FILE", file.path().to_str().unwrap()),
    ];
    let mut adapter = Adapter::start(&database.url(), &variables);
    adapter.descriptor().await;
    let sample = adapter.sample().await;
    assert_eq!(sample.value("enqueue_rate"), 0.0);
    // Nobody has waited.
    assert_eq!(sample.value("claim_p99_ms"), 0.0);
    std::fs::write(file.path(), "450\n").unwrap();
    adapter
        .sample_with("the new rate", |sample| {
            (400.0..500.0).contains(&sample.value("enqueue_rate"))
        })
        .await;
}

#[tokio::test]
async fn a_target_depth_is_kept() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    // Nothing like as quick as the producer could be.
    let variables = [
        ("PRODUCER_MODE", "depth-target"),
        ("TARGET_DEPTH", "20000"),
        ("PRODUCER_BATCH_MAX", "500"),
        ("WORKER_COUNT", "8"),
        ("JOB_WORK_MS", "20"),
        ("SAMPLE_EVERY_S", "1"),
    ];
    let mut adapter = Adapter::start(&database.url(), &variables);
    adapter.descriptor().await;
    // A worker that has claimed more than it can begin gives it back, when others have taken its place.
    let near = 19_000.0..=26_000.0;
    adapter
        .sample_with("the target to be reached", |sample| {
            near.contains(&sample.value("queue_depth"))
        })
        .await;
    for _ in 0..3 {
        let sample = adapter.sample().await;
        assert!(near.contains(&sample.value("queue_depth")), "{sample:?}");
    }
    // As the database counts them, one by one.
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let lag: i64 =
        sqlx::query_scalar("SELECT vulkan.lag(vulkan.group_id('long_horizon', 'long_horizon'))")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert!((19_000..=26_000).contains(&lag), "{lag}");
}

#[tokio::test]
async fn the_depth_is_right_across_slots_and_beyond_what_is_counted() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let variables = [
        ("PRODUCER_RATE", "0"),
        ("WORKER_COUNT", "1"),
        ("JOB_WORK_MS", "3600000"),
        ("SAMPLE_EVERY_S", "1"),
    ];
    let mut adapter = Adapter::start(&database.url(), &variables);
    adapter.descriptor().await;
    let pool = PgPool::connect(&database.url()).await.unwrap();
    sqlx::query("SELECT vulkan.pause('long_horizon', 'long_horizon')")
        .execute(&pool)
        .await
        .unwrap();
    for (messages, roll) in [(7000, true), (8000, true), (9000, false)] {
        sqlx::query(
            "SELECT count(*) FROM vulkan.publish_many('long_horizon', array_fill('job.queued'::text, ARRAY[$1]),
                array_fill('{\"at\": 1, \"note\": \"\"}'::jsonb, ARRAY[$1]))",
        )
        .bind(messages)
        .execute(&pool)
        .await
        .unwrap();
        if roll {
            sqlx::query("SELECT vulkan.roll_slot()")
                .execute(&pool)
                .await
                .unwrap();
        }
    }
    let sample = adapter
        .sample_with("all of them to be seen", |sample| {
            sample.value("queue_depth") >= 24_000.0
        })
        .await;
    assert_eq!(sample.value("queue_depth"), 24_000.0);
}

#[tokio::test]
async fn the_harness_may_say_when() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let variables = [
        ("PRODUCER_PACING", "harness"),
        ("PRODUCER_RATE", "400"),
        ("SAMPLE_EVERY_S", "1"),
        ("BENCH_INSTANCE_ID", "0"),
    ];
    let mut adapter = Adapter::start(&database.url(), &variables);
    adapter.descriptor().await;
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let mut input = adapter.input.take().unwrap();
    input
        .write_all(b"ENQUEUE 20\nwhat?\nENQUEUE 300\n")
        .await
        .unwrap();
    within("what was ordered", async {
        while published(&pool).await < 320 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let sample = adapter
        .sample_with("a window without orders", |sample| {
            sample.value("enqueue_rate") == 0.0
        })
        .await;
    assert_eq!(sample.line("queue_depth")["instance_id"], 0);
    assert_eq!(published(&pool).await, 320);
    // Then it goes on by itself.
    drop(input);
    adapter
        .sample_with("its own rate", |sample| {
            (350.0..450.0).contains(&sample.value("enqueue_rate"))
        })
        .await;
}
