use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::timeout;
use vulkan::{Error, Message};

use crate::client::support::{client, message, until};
use crate::support::{TestDb, within};

const EVENTS: &str = "SELECT count(*) FROM vulkan.events";

/// What only the database refuses: half a surrogate pair.
fn refused_by_postgres() -> Message {
    let payload = RawValue::from_string(r#""\ud800""#.into()).unwrap();
    Message::new("orders", "bad", &payload).unwrap()
}

fn large() -> Message {
    Message::new("orders", "n", &"x".repeat(200_000)).unwrap()
}

/// All connections of the pool outside any transaction or COPY.
async fn sound(db: &TestDb) {
    until("all connections to be idle", async || {
        db.value::<i64>(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
               AND state <> 'idle'",
        )
        .await
            == 0
    })
    .await;
    let mut connections = Vec::new();
    for _ in 0..8 {
        let mut connection = within("a connection", db.pool.acquire()).await.unwrap();
        let fresh: bool = sqlx::query_scalar("SELECT now() > clock_timestamp() - interval '1 s'")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert!(fresh, "it is in a transaction");
        connections.push(connection);
    }
    drop(connections);
    let holders = "SELECT count(*) FROM vulkan.lso_holders";
    assert_eq!(db.value::<i64>(holders).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_refuses_is_not_taken_and_the_load_goes_on() {
    let db = TestDb::new().await;
    let client = client(&db);
    client.create_stream("payments").await.unwrap();
    type Expected = fn(&Error) -> bool;
    let refused: [(Message, Expected); 6] = [
        (
            message("n").dedup_id("d"),
            |error| matches!(error, Error::DedupInLoad { kind } if kind == "n"),
        ),
        (message("a..b"), |error| matches!(error, Error::Name(_))),
        (message("n").key("\0"), |error| {
            matches!(error, Error::Invalid(_))
        }),
        (Message::new("orders", "n", "\0").unwrap(), |error| {
            matches!(error, Error::Invalid(_))
        }),
        (message("n").header("a", "\0"), |error| {
            matches!(error, Error::Invalid(_))
        }),
        (
            Message::new("payments", "n", &1).unwrap(),
            |error| matches!(error, Error::MixedStreams { first, .. } if first == "orders"),
        ),
    ];
    let mut loader = client.loader("orders").await.unwrap();
    for (bad, expected) in &refused {
        loader.push(message("good")).await.unwrap();
        let error = loader.push(bad.clone()).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
        // Of an iterator, which cannot be asked, nothing is kept.
        let all = (0..2_000)
            .map(|_| message("good"))
            .chain([bad.clone(), message("good")]);
        let error = client.load(all).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
    assert_eq!(loader.finish().await.unwrap(), 6);
    let kinds: Vec<String> = db
        .value("SELECT array_agg(DISTINCT kind) FROM vulkan.events")
        .await;
    assert_eq!(kinds, ["good"]);
    assert_eq!(db.value::<i64>(EVENTS).await, 6);
    sound(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_leaves_nothing() {
    let db = TestDb::new().await;
    let client = client(&db);
    let all = (0..3_000).map(|n| match n {
        1_500 => refused_by_postgres(),
        _ => message("good"),
    });
    let error = client.load(all).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    assert_eq!(db.value::<i64>(EVENTS).await, 0);

    // It need not send all the rest to hear of it.
    let mut loader = client.loader("orders").await.unwrap();
    loader.push(refused_by_postgres()).await.unwrap();
    let error = within("the load to end", async {
        loop {
            if let Err(error) = loader.push(large()).await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    let again = loader.push(large()).await.unwrap_err();
    assert!(matches!(again, Error::LoadEnded), "{again:?}");
    let end = loader.finish().await.unwrap_err();
    assert!(matches!(end, Error::LoadEnded), "{end:?}");

    // Dropped after that, unheard.
    let mut loader = client.loader("orders").await.unwrap();
    loader.push(refused_by_postgres()).await.unwrap();
    loader.push(large()).await.unwrap();
    loader.push(large()).await.unwrap();
    drop(loader);
    sound(&db).await;
    assert_eq!(db.value::<i64>(EVENTS).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_stream_is_told_at_the_beginning() {
    let db = TestDb::new().await;
    let client = client(&db);
    let error = client.loader("nowhere").await.unwrap_err();
    assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    let error = client.loader("No Name").await.unwrap_err();
    assert!(matches!(error, Error::Name(_)), "{error:?}");
    let nowhere = Message::new("nowhere", "n", &1).unwrap();
    let error = client.load([nowhere]).await.unwrap_err();
    assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    sound(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_leaves_nothing_and_is_transient() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut loader = client.loader("orders").await.unwrap();
    loader.push(large()).await.unwrap();
    loader.push(large()).await.unwrap();
    db.terminate_others().await;
    let error = within("the load to end", async {
        for _ in 0..200 {
            if let Err(error) = loader.push(large()).await {
                return error;
            }
        }
        loader.finish().await.unwrap_err()
    })
    .await;
    assert!(error.is_transient(), "{error:?}");
    until("the pool to be whole again", async || {
        client.publish(message("after")).await.is_ok()
    })
    .await;
    let kinds: Vec<String> = db
        .value("SELECT array_agg(DISTINCT kind) FROM vulkan.events")
        .await;
    assert_eq!(kinds, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_dropped_at_any_moment_is_whole_or_nothing() {
    const EACH: i64 = 1_000;
    let db = TestDb::new().await;
    let client = client(&db);
    let mut returned = 0;
    for round in 0..150 {
        let patience = Duration::from_micros(round * 200);
        let load = client.load((0..EACH).map(|_| message("n").key("a")));
        returned += i64::from(timeout(patience, load).await.is_ok());
    }
    let mut loader = client.loader("orders").await.unwrap();
    loader.push(message("gone")).await.unwrap();
    drop(loader);
    sound(&db).await;
    let (all, gone): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE kind = 'n'), count(*) FILTER (WHERE kind = 'gone') FROM vulkan.events",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert!(
        all % EACH == 0 && (returned..=150).contains(&(all / EACH)),
        "{all} of {returned}"
    );
    assert_eq!(gone, 0);
    db.check().await;
}
