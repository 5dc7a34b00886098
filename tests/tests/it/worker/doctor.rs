use std::sync::{Arc, Mutex};
use std::time::Duration;

use vulkan::{Client, HandlerOptions, Worker, WorkerEvent};
use vulkan_devpg::Postgres;

use super::support::{Running, on, until};
use crate::support::TestDb;

async fn problems(client: &Client) -> Vec<String> {
    let found = client.doctor().await.unwrap();
    found.into_iter().map(|one| one.problem).collect()
}

/// As PostgreSQL comes, nothing is wrong; without durability it says so, and workers do.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_is_told_of() {
    let postgres = Postgres::start_private(&[]).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let url = database.url();
    let client = Client::connect(&url).await.unwrap();
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    assert_eq!(problems(&client).await, [""; 0]);

    for sql in [
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET synchronous_commit = off",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::query(sql).execute(client.pool()).await.unwrap();
    }
    until("both to be told", || async {
        problems(&client).await == ["fsync", "synchronous_commit"]
    })
    .await;

    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let handler = on(HandlerOptions::new("orders", "a"), |_| {
        Box::pin(async { Ok(()) })
    });
    let builder = Worker::builder(Client::connect(&url).await.unwrap())
        .register(handler)
        .poll(Duration::from_millis(50))
        .on_event(move |event| {
            if let WorkerEvent::Diagnosed { diagnosis, .. } = event {
                let told = (diagnosis.problem.clone(), diagnosis.is_danger);
                heard.lock().unwrap().push(told);
            }
        });
    let running = Running::start(builder);
    until("the worker to tell", || async {
        *told.lock().unwrap()
            == [
                ("fsync".to_owned(), true),
                ("synchronous_commit".to_owned(), true),
            ]
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_and_publishers_rely_on_is_looked_at() {
    let db = TestDb::new().await;
    // The server of the tests is not durable, and says so.
    let before = problems(&db.client().await).await;
    for (sql, problem) in [
        ("ALTER SEQUENCE vulkan.offset_seq CACHE 20", "offset_seq"),
        ("ALTER SEQUENCE vulkan.offset_seq CACHE 1", ""),
        (
            "SELECT setval('vulkan.offset_seq', 999 * 1000000000::bigint)",
            "partitions",
        ),
    ] {
        db.run(sql).await;
        let mut now = problems(&db.client().await).await;
        now.retain(|problem| !before.contains(problem));
        assert_eq!(now.join(" "), problem, "{sql}");
    }
}
