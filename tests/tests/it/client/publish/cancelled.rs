use std::time::Duration;

use tokio::time::timeout;

use crate::client::support::{client, message, until};
use crate::support::{TestDb, within};

/// Dropped at any moment, a call leaves no connection in a transaction, and the pool as good as new.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_dropped_in_mid_flight_poisons_nothing() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut returned = 0;
    for round in 0..300 {
        let patience = Duration::from_micros(round * 10);
        let published = timeout(patience, client.publish(message("one"))).await;
        returned += i64::from(published.is_ok());
        let batch = [message("two"), message("two")];
        let _ = timeout(patience, client.publish_many(batch)).await;
        // Rolled back when dropped, as sqlx's own begin() is not.
        let _ = timeout(patience, client.begin()).await;
    }
    until("all calls to end", async || {
        db.value::<i64>(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
               AND state <> 'idle'",
        )
        .await
            == 0
    })
    .await;

    // Every connection of the pool at once, each outside any transaction.
    let mut connections = Vec::new();
    for _ in 0..8 {
        let connection = within("a connection", db.pool.acquire()).await;
        connections.push(connection.unwrap());
    }
    for connection in &mut connections {
        let offset = client.publish_in(&mut **connection, message("after")).await;
        assert!(offset.is_ok());
    }
    drop(connections);
    let (one, two, after): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE kind = 'one'), count(*) FILTER (WHERE kind = 'two'),
                count(*) FILTER (WHERE kind = 'after') FROM vulkan.events",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert!((returned..=300).contains(&one), "{one} of {returned}");
    assert_eq!((two % 2, after), (0, 8));
}
