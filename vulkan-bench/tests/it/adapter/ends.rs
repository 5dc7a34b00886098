use std::time::{Duration, Instant};

use super::support::Adapter;

const AT_MOST: Duration = Duration::from_secs(5);

#[tokio::test]
async fn sigterm_ends_it_in_time_under_load() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    // The handlers that run would take a minute.
    for work in ["1", "60000"] {
        let variables = [
            ("PRODUCER_RATE", "2000"),
            ("WORKER_COUNT", "8"),
            ("JOB_WORK_MS", work),
            ("SAMPLE_EVERY_S", "1"),
        ];
        let mut adapter = Adapter::start(&database.url(), &variables);
        adapter.descriptor().await;
        adapter
            .sample_with("load", |sample| sample.value("enqueue_rate") > 500.0)
            .await;
        let since = Instant::now();
        adapter.signal("TERM").await;
        assert_eq!(adapter.exit().await.code(), Some(0));
        assert!(since.elapsed() < AT_MOST, "{:?}", since.elapsed());
        // No half of a line, and no half of a sample.
        let mut last = 0;
        while adapter.line().await.is_some() {
            last += 1;
        }
        assert_eq!(last % 6, 0);
    }
}

#[tokio::test]
async fn sigterm_ends_it_in_time_without_a_database() {
    let mut postgres = vulkan_devpg::Postgres::start_private(vulkan_devpg::FAST)
        .await
        .unwrap();
    let url = postgres.url();
    let variables = [("PRODUCER_RATE", "500"), ("SAMPLE_EVERY_S", "1")];
    let mut running = Adapter::start(&url, &variables);
    running.descriptor().await;
    running
        .sample_with("load", |sample| sample.value("completion_rate") > 100.0)
        .await;
    postgres.crash().await.unwrap();
    running.logs("cannot publish").await;
    let mut waiting = Adapter::start(&url, &variables);
    waiting.logs("waits for the database").await;
    for adapter in [&mut running, &mut waiting] {
        let since = Instant::now();
        adapter.signal("TERM").await;
        assert_eq!(adapter.exit().await.code(), Some(0));
        assert!(since.elapsed() < AT_MOST, "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn it_ends_when_nobody_reads_any_more() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let mut adapter = Adapter::start(&database.url(), &[("SAMPLE_EVERY_S", "1")]);
    adapter.descriptor().await;
    adapter.stop_reading();
    adapter.logs("nobody reads the standard output").await;
    assert_eq!(adapter.exit().await.code(), Some(1));
}
