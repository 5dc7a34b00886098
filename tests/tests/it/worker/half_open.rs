use std::time::{Duration, Instant};

use vulkan::{Client, Message, PublisherOptions};

use super::support::{Gate, Proxy, Running, on, options, until};
use crate::support::{Publish, TestDb, within};

/// Longer than the heartbeat of the listener and its patience with the answer, 15 s in all.
const REPLACED: Duration = Duration::from_secs(20);

async fn proxy() -> Proxy {
    let directory = vulkan_devpg::shared().await.directory().unwrap();
    Proxy::start(directory).await
}

/// A claim whose answer never came is handed out again after so long.
const LEASE: Duration = Duration::from_secs(5);

/// The database of the test, behind the proxy.
async fn url(db: &TestDb, proxy: &Proxy) -> String {
    let name: String = db.value("SELECT current_database()::text").await;
    let user: String = db.value("SELECT current_user::text").await;
    format!(
        "postgres://{user}@127.0.0.1:{}/{name}?sslmode=disable",
        proxy.port()
    )
}

/// A worker that tells what it handles, behind a proxy, with its bell armed.
async fn behind_a_proxy(db: &TestDb, gate: Gate) -> (Proxy, Running) {
    let proxy = proxy().await;
    let handler = on(options("deaf").lease(LEASE), move |delivery| {
        gate.tell(delivery.offset());
        Box::pin(async { Ok(()) })
    });
    let client = Client::connect(&url(db, &proxy).await).await.unwrap();
    let running = Running::start(vulkan::Worker::builder(client).register(handler));
    until("the bell to be armed", || bell_is_held(db)).await;
    (proxy, running)
}

#[tokio::test]
async fn a_listener_that_went_deaf_is_replaced() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let (proxy, running) = behind_a_proxy(&db, gate).await;
    let listener = listener(&db).await;

    proxy.go_deaf_for_listeners();
    let since = Instant::now();
    // Meanwhile the poll finds the work.
    let offset = Publish::new("a").send(&db.pool).await;
    assert_eq!(came.next().await, offset);
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    until("another listener", || async {
        newest_listener(&db).await != listener
    })
    .await;
    assert!(since.elapsed() < REPLACED, "{:?}", since.elapsed());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn work_goes_on_when_all_connections_went_deaf() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let (proxy, running) = behind_a_proxy(&db, gate).await;
    proxy.go_deaf();
    let offset = Publish::new("a").send(&db.pool).await;
    // Within the time that a call may take to be answered: a claim may have been on its way, and even have got the message.
    assert_eq!(came.next().await, offset);
    running.stop().await.unwrap();
}

/// To ask each of ten in turn would take three seconds each.
#[tokio::test]
async fn of_connections_that_went_deaf_together_one_is_asked() {
    let db = TestDb::new().await;
    let proxy = proxy().await;
    let client = Client::connect(&url(&db, &proxy).await).await.unwrap();
    let pool = client.pool();
    let mut open = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        open.push(pool.acquire().await.unwrap());
    }
    drop(open);
    let before = Instant::now();
    until("all to have rested", async || {
        pool.num_idle() == 10 && before.elapsed() > Duration::from_millis(300)
    })
    .await;
    proxy.go_deaf();
    within("ten transactions, one after the other", async {
        for _ in 0..10 {
            client.begin().await.unwrap().rollback().await.unwrap();
        }
    })
    .await;
}

/// Nobody else's batch waits for an answer that never comes.
#[tokio::test]
async fn a_publisher_goes_on_when_its_connection_went_deaf_in_mid_call() {
    let db = TestDb::new().await;
    let proxy = proxy().await;
    let client = Client::connect(&url(&db, &proxy).await).await.unwrap();
    let publisher = client.publisher_with(PublisherOptions {
        in_flight: 1,
        ..PublisherOptions::default()
    });
    let message = |id: &str| Message::new("orders", "n", &1).unwrap().dedup_id(id);
    let mut tx = db.pool.begin().await.unwrap();
    client.publish_in(&mut *tx, message("held")).await.unwrap();
    let held = {
        let publisher = publisher.clone();
        tokio::spawn(async move { publisher.publish(message("held")).await })
    };
    db.until_blocked().await;
    proxy.go_deaf();
    tx.rollback().await.unwrap();

    within("the next batch", publisher.publish(message("next")))
        .await
        .unwrap();
    let error = within("the batch before", held).await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    within("its end", publisher.close()).await;
}

/// Nor does who publishes by itself wait until the kernel gives the connection up.
#[tokio::test]
async fn a_publish_gives_up_when_its_connection_went_deaf_in_mid_call() {
    let db = TestDb::new().await;
    let proxy = proxy().await;
    let client = Client::connect(&url(&db, &proxy).await).await.unwrap();
    let message = || Message::new("orders", "n", &1).unwrap().dedup_id("held");
    let mut tx = db.pool.begin().await.unwrap();
    client.publish_in(&mut *tx, message()).await.unwrap();
    let calls = [0, 1, 2].map(|way| {
        let (client, message) = (client.clone(), message());
        tokio::spawn(async move {
            match way {
                0 => client.publish(message).await.map(drop),
                1 => client.publish_once(message).await.map(drop),
                _ => client.publish_many([message]).await.map(drop),
            }
        })
    });
    until("all three to wait for the first", || async {
        let waiting: i64 = db
            .value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            .await;
        waiting == 3
    })
    .await;
    proxy.go_deaf();
    tx.rollback().await.unwrap();
    for call in calls {
        let error = within("an answer", call).await.unwrap().unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    }
    within("another publish", client.publish(message()))
        .await
        .unwrap();
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
