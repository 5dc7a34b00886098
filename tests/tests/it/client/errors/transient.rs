use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};
use vulkan::{Client, Error, Position};
use vulkan_devpg::{FAST, Postgres};

use crate::client::support::{client, message, next, until};
use crate::support::{TestDb, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_comes_back() {
    let settings: Vec<_> = FAST
        .iter()
        .copied()
        .chain([("max_connections", "12")])
        .collect();
    let mut postgres = Postgres::start_private(&settings).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(3)
        .acquire_timeout(Duration::from_secs(1))
        .connect_lazy_with(database.connect_options());
    let client = Client::new(pool);
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    let mut events = client.read("orders", Position::Earliest).await.unwrap();
    client.publish(message("before")).await.unwrap();
    assert_eq!(next(&mut events).await.kind(), "before");

    postgres.crash().await.unwrap();
    for _ in 0..5 {
        let error = within("a call to fail", client.publish(message("lost")))
            .await
            .unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        let error = within("a batch to fail", client.publish_many([message("lost")])).await;
        assert!(error.unwrap_err().is_transient());
        let error = within("migrate to fail", client.migrate())
            .await
            .unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    }
    postgres.restart().await.unwrap();
    until("publishing to work again", async || {
        match client.publish(message("after")).await {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                false
            }
        }
    })
    .await;
    assert_eq!(next(&mut events).await.kind(), "after");

    // And a server with all its connections taken.
    let mut taken = Vec::new();
    let full = loop {
        match PgConnection::connect_with(&database.connect_options()).await {
            Ok(connection) => taken.push(connection),
            Err(error) => break Error::from(error),
        }
    };
    assert!(full.is_transient(), "{full:?}");
    assert!(full.to_string().contains("53300"), "{full}");
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(300))
        .connect_lazy_with(database.connect_options());
    let error = Client::new(pool).publish(message("n")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(
        error.to_string().contains("pool is large enough"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_connection_is_transient_and_the_next_call_works() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut tx = client.begin().await.unwrap();
    client.publish_in(&mut *tx, message("gone")).await.unwrap();
    db.terminate_others().await;
    let error = client
        .publish_in(&mut *tx, message("gone"))
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    drop(tx);
    client.publish(message("kept")).await.unwrap();
    let kinds: Vec<String> = db.value("SELECT array_agg(kind) FROM vulkan.events").await;
    assert_eq!(kinds, ["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn to_wait_too_long_or_in_a_circle_is_transient() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut first = client.begin().await.unwrap();
    let mut second = client.begin().await.unwrap();
    client
        .publish_in(&mut *first, message("n").dedup_id("a"))
        .await
        .unwrap();
    sqlx::query("SET LOCAL lock_timeout = '50ms'")
        .execute(&mut *second)
        .await
        .unwrap();
    let late = message("n").dedup_id("a");
    let error = client.publish_in(&mut *second, late).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    drop(second);

    let mut second = client.begin().await.unwrap();
    client
        .publish_in(&mut *second, message("n").dedup_id("b"))
        .await
        .unwrap();
    let (one, other) = tokio::join!(
        async {
            let done = client
                .publish_in(&mut *first, message("n").dedup_id("b"))
                .await;
            first.rollback().await.unwrap();
            done
        },
        async {
            let done = client
                .publish_in(&mut *second, message("n").dedup_id("a"))
                .await;
            second.rollback().await.unwrap();
            done
        },
    );
    let ((Err(error), Ok(_)) | (Ok(_), Err(error))) = (one, other) else {
        panic!("one of two in a circle has to give way");
    };
    assert!(error.is_transient(), "{error:?}");
}

/// As after a failover, while the address still leads to what was the standby.
#[tokio::test]
async fn a_server_that_takes_no_writes_is_transient() {
    let db = TestDb::new().await;
    let options = (*db.pool.connect_options())
        .clone()
        .options([("default_transaction_read_only", "on")]);
    let client = Client::new(PgPoolOptions::new().connect_lazy_with(options));
    let error = client.create_stream("others").await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}
