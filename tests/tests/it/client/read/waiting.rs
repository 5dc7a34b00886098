use std::time::Instant;

use futures::StreamExt;
use vulkan::Position;

use crate::client::support::{client, message, next, next_offsets, until};
use crate::support::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_at_the_end_is_woken_at_once() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut events = client.read("orders", Position::Earliest).await.unwrap();
    let mut took = Vec::new();
    for _ in 0..9 {
        db.asleep().await;
        assert!(futures::poll!(events.next()).is_pending());
        let began = Instant::now();
        let offset = client.publish(message("n")).await.unwrap();
        assert_eq!(next(&mut events).await.offset(), offset);
        took.push(began.elapsed());
    }
    took.sort();
    // By polling alone, it would be half a second.
    assert!(took[4].as_millis() < 250, "{took:?}");
}

/// A bell that is held makes every publisher ring, which is what a busy server must be spared.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_with_enough_to_read_holds_no_bell() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut events = client.read("orders", Position::Earliest).await.unwrap();
    db.asleep().await;
    // More than it reads ahead.
    let batch = (0..3_000).map(|_| message("n"));
    let offsets = client.publish_many(batch).await.unwrap();
    until("the reader to give its bell back", async || {
        db.bells().await == 0
    })
    .await;
    assert_eq!(next_offsets(&mut events, 3_000).await, offsets);
    db.asleep().await;
    drop(events);
    until("the bell to go with the reader", async || {
        db.bells().await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_waited_out() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut events = client.read("orders", Position::Earliest).await.unwrap();
    for kind in ["one", "two", "three"] {
        db.asleep().await;
        db.terminate_others().await;
        client.publish(message(kind)).await.unwrap();
        assert_eq!(next(&mut events).await.kind(), kind);
    }
}

/// A half-open connection gives no error: it must be asked, however often the reader looks for itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_asked_whether_it_lives() {
    let db = TestDb::new().await;
    let client = client(&db);
    let events = client.read("orders", Position::Earliest).await.unwrap();
    db.asleep().await;
    until("a heartbeat on the connection that listens", async || {
        db.value::<bool>(
            "SELECT coalesce(bool_or(a.query = 'SELECT 1'), false) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
             WHERE a.datname = current_database() AND l.locktype = 'advisory' AND l.classid = 1459617794",
        )
        .await
    })
    .await;
    drop(events);
}
