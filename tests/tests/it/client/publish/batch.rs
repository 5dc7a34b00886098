use std::iter::empty;

use chrono::{Duration, Utc};
use serde_json::{Value, json};
use vulkan::{Error, Message};

use crate::client::support::{client, message};
use crate::support::TestDb;

fn numbered(number: usize) -> Message {
    Message::new("orders", "n", &number).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_come_in_the_order_of_the_batch() {
    let db = TestDb::new().await;
    let offsets = client(&db)
        .publish_many((0..500).map(numbered))
        .await
        .unwrap();
    assert!(offsets.is_sorted() && offsets.len() == 500);
    let stored: Vec<(i64, Value)> =
        sqlx::query_as("SELECT \"offset\", payload FROM vulkan.events ORDER BY 1")
            .fetch_all(&db.pool)
            .await
            .unwrap();
    let expected: Vec<_> = offsets
        .into_iter()
        .zip((0..500).map(|n| json!(n)))
        .collect();
    assert_eq!(stored, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_is_nothing() {
    let db = TestDb::new().await;
    let client = client(&db);
    assert_eq!(
        client.publish_many(empty::<Message>()).await.unwrap(),
        [0_i64; 0]
    );
    let mut tx = client.begin().await.unwrap();
    let none = client.publish_many_in(&mut *tx, empty::<Message>()).await;
    assert_eq!(none.unwrap(), [0_i64; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_two_streams_is_refused_as_a_whole() {
    let db = TestDb::new().await;
    let client = client(&db);
    client.create_stream("payments").await.unwrap();
    let stray = Message::new("payments", "n", &1).unwrap();
    let error = client
        .publish_many([message("n"), message("n"), stray])
        .await
        .unwrap_err();
    let Error::MixedStreams { first, other } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((first.as_str(), other.as_str()), ("orders", "payments"));
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
}

/// Every way in which the optional columns can be there or not, in one batch, first row and last.
#[tokio::test(flavor = "multi_thread")]
async fn optional_columns_mix_with_nothing() {
    for reversed in [false, true] {
        let db = TestDb::new().await;
        let later = Utc::now() + Duration::hours(1);
        let mut batch: Vec<Message> = (0..16)
            .map(|bits| {
                let mut message = numbered(bits);
                if bits & 1 != 0 {
                    message = message.key(format!("key {bits}"));
                }
                if bits & 2 != 0 {
                    message = message.header("h", bits.to_string());
                }
                if bits & 4 != 0 {
                    message = message.deliver_at(later);
                }
                if bits & 8 != 0 {
                    message = message.dedup_id(format!("id {bits}"));
                }
                message
            })
            .collect();
        if reversed {
            batch.reverse();
        }
        let offsets = client(&db).publish_many(batch).await.unwrap();
        type Stored = (
            i64,
            Value,
            Option<String>,
            Option<Value>,
            bool,
            Option<String>,
        );
        let stored: Vec<Stored> = sqlx::query_as(
            "SELECT e.\"offset\", payload, partition_key, headers, deliver_at IS NOT NULL, d.dedup_id
             FROM vulkan.events e LEFT JOIN vulkan.dedup d ON d.\"offset\" = e.\"offset\" ORDER BY 1",
        )
        .fetch_all(&db.pool)
        .await
        .unwrap();
        assert_eq!(stored.len(), 16);
        for (row, offset) in stored.into_iter().zip(offsets) {
            let bits = row.1.as_u64().unwrap();
            let expected = (
                offset,
                json!(bits),
                (bits & 1 != 0).then(|| format!("key {bits}")),
                (bits & 2 != 0).then(|| json!({"h": bits.to_string()})),
                bits & 4 != 0,
                (bits & 8 != 0).then(|| format!("id {bits}")),
            );
            assert_eq!(row, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_batch_too_the_first_of_a_dedup_id_wins() {
    let db = TestDb::new().await;
    let client = client(&db);
    let known = client.publish(numbered(0).dedup_id("known")).await.unwrap();
    let offsets = client
        .publish_many([
            numbered(1).dedup_id("new"),
            numbered(2),
            numbered(3).dedup_id("known"),
            numbered(4).dedup_id("new"),
        ])
        .await
        .unwrap();
    assert_eq!((offsets[2], offsets[3]), (known, offsets[0]));
    assert!(known < offsets[0] && offsets[0] < offsets[1]);
    let payloads: Vec<i32> = db
        .value("SELECT array_agg(payload::int ORDER BY \"offset\") FROM vulkan.events")
        .await;
    assert_eq!(payloads, [0, 1, 2]);
}
