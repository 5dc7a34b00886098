use std::time::{Duration, Instant};

use vulkan::Client;

use super::support::{Gate, Proxy, Running, on, options, until};
use crate::support::{Publish, TestDb};

/// Longer than the heartbeat of the listener and its patience with the answer, 15 s in all.
const REPLACED: Duration = Duration::from_secs(20);

#[tokio::test]
async fn connections_that_went_deaf_are_replaced() {
    let db = TestDb::new().await;
    let directory = vulkan_devpg::shared().await.directory().unwrap();
    let proxy = Proxy::start(directory).await;
    let name: String = db.value("SELECT current_database()::text").await;
    let user: String = db.value("SELECT current_user::text").await;
    let url = format!(
        "postgres://{user}@127.0.0.1:{}/{name}?sslmode=disable",
        proxy.port()
    );

    let (gate, mut came) = Gate::new();
    let handler = on(options("deaf"), move |delivery| {
        gate.tell(delivery.offset());
        Box::pin(async { Ok(()) })
    });
    let client = Client::connect(&url).await.unwrap();
    let running = Running::start(vulkan::Worker::builder(client).register(handler));
    let first = Publish::new("a").send(&db.pool).await;
    assert_eq!(came.next().await, first);
    until("the bell to be armed", || bell_is_held(&db)).await;
    let listener = listener(&db).await;

    proxy.go_deaf();
    let since = Instant::now();
    until("another listener", || async {
        newest_listener(&db).await != listener
    })
    .await;
    assert!(since.elapsed() < REPLACED, "{:?}", since.elapsed());

    // Work goes on as well, over connections that were replaced.
    let second = Publish::new("a").send(&db.pool).await;
    let heard = tokio::time::timeout(Duration::from_secs(60), came.next());
    assert_eq!(heard.await.unwrap(), second);
    running.stop().await.unwrap();
}

async fn bell_is_held(db: &TestDb) -> bool {
    db.value(
        "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
             WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = 1459617794)",
    )
    .await
}

/// The server's process that holds the bell.
async fn listener(db: &TestDb) -> i32 {
    db.value(
        "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = 1459617794",
    )
    .await
}

/// The last connection that began to listen: the server does not know yet that the old one is gone.
async fn newest_listener(db: &TestDb) -> i32 {
    db.value(
        "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND query ~* '^(LISTEN|SELECT pg_try_advisory_lock)'
         ORDER BY backend_start DESC LIMIT 1",
    )
    .await
}
