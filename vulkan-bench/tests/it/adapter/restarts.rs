use sqlx::PgPool;

use super::proxy::Proxy;
use super::support::{Adapter, Sample, within};

#[tokio::test]
async fn it_goes_on_when_the_database_is_back() {
    let mut postgres = vulkan_devpg::Postgres::start_private(vulkan_devpg::FAST)
        .await
        .unwrap();
    let variables = [("PRODUCER_RATE", "400"), ("SAMPLE_EVERY_S", "1")];
    // It waits for the database from the start.
    let url = postgres.url();
    postgres.crash().await.unwrap();
    let mut adapter = Adapter::start(&url, &variables);
    adapter.logs("waits for the database").await;
    postgres.restart().await.unwrap();
    let descriptor = adapter.descriptor().await;
    assert_eq!(descriptor["db_name"], "postgres");
    let flows = |rate: f64| (300.0..500.0).contains(&rate);
    for _ in 0..2 {
        adapter
            .sample_with("work", |sample| {
                flows(sample.value("enqueue_rate")) && sample.value("completion_rate") > 300.0
            })
            .await;
        postgres.crash().await.unwrap();
        adapter.logs("cannot publish").await;
        // Lines come all the same.
        adapter
            .sample_with("the outage to be seen", |sample| {
                sample.value("enqueue_rate") == 0.0 && sample.value("completion_rate") == 0.0
            })
            .await;
        postgres.restart().await.unwrap();
        // What was offered meanwhile is made up for.
        adapter
            .sample_with("what has not been published", |sample| {
                sample.value("enqueue_rate") > 600.0
            })
            .await;
    }
    adapter
        .sample_with("all to be as before", |sample| {
            flows(sample.value("enqueue_rate")) && sample.value("queue_depth") < 400.0
        })
        .await;
    adapter.signal("TERM").await;
    assert_eq!(adapter.exit().await.code(), Some(0));
    let pool = PgPool::connect(&url).await.unwrap();
    let broken: Vec<String> = sqlx::query_scalar("SELECT c::text FROM vulkan.check() c")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn it_goes_on_when_its_connections_and_its_worker_are_ended() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let variables = [("PRODUCER_RATE", "400"), ("SAMPLE_EVERY_S", "1")];
    let mut adapter = Adapter::start(&database.url(), &variables);
    adapter.descriptor().await;
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let end = [
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "SELECT vulkan.drain_workers(NULL)::bigint",
    ];
    for end in end {
        adapter
            .sample_with("work", |sample| sample.value("completion_rate") > 300.0)
            .await;
        within("something to end", async {
            let ended: i64 = sqlx::query_scalar(end).fetch_one(&pool).await.unwrap();
            assert!(ended > 0);
        })
        .await;
    }
    adapter.logs("the worker has ended").await;
    adapter
        .sample_with("work after that", |sample| {
            sample.value("completion_rate") > 300.0 && sample.value("queue_depth") < 400.0
        })
        .await;
}

#[tokio::test]
async fn it_goes_on_when_its_connections_carry_nothing_any_more() {
    let postgres = vulkan_devpg::Postgres::start_private(vulkan_devpg::FAST)
        .await
        .unwrap();
    let proxy = Proxy::start(postgres.directory().unwrap()).await;
    let variables = [("PRODUCER_RATE", "400"), ("SAMPLE_EVERY_S", "1")];
    let mut adapter = Adapter::start(&proxy.url("postgres"), &variables);
    adapter.descriptor().await;
    let works = |sample: &Sample| {
        sample.value("enqueue_rate") > 300.0 && sample.value("completion_rate") > 300.0
    };
    adapter.sample_with("work", works).await;
    proxy.forget();
    adapter
        .sample_with("the silence to be seen", |sample| {
            sample.value("completion_rate") == 0.0
        })
        .await;
    adapter
        .sample_with("all to be as before", |sample| {
            works(sample) && sample.value("queue_depth") < 400.0
        })
        .await;
}
