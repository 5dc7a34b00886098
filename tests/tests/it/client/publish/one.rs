use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use vulkan::{Event, Message};

use crate::client::support::client;
use crate::support::TestDb;

#[derive(serde::Serialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
struct OrderPlaced {
    #[event(key)]
    customer: String,
    total: u64,
}

type Row = (
    i64,
    String,
    Option<String>,
    Value,
    Option<Value>,
    Option<DateTime<Utc>>,
);

async fn rows(db: &TestDb) -> Vec<Row> {
    sqlx::query_as(
        "SELECT \"offset\", kind, partition_key, payload, headers, deliver_at FROM vulkan.events ORDER BY 1",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_event_goes_where_its_type_says() {
    let db = TestDb::new().await;
    let event = OrderPlaced {
        customer: "eu-7".into(),
        total: 42,
    };
    let offset = client(&db).publish(&event).await.unwrap();
    let payload = json!({"customer": "eu-7", "total": 42});
    let row = (
        offset,
        "order.placed".into(),
        Some("eu-7".into()),
        payload,
        None,
        None,
    );
    assert_eq!(rows(&db).await, [row]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_carries_all_that_can_be_said_of_it() {
    let db = TestDb::new().await;
    // To the microsecond, as Postgres has it.
    let later =
        DateTime::from_timestamp_micros((Utc::now() + Duration::hours(1)).timestamp_micros());
    let later = later.unwrap();
    let plain = Message::new("orders", "plain", "grüße \\u0000").unwrap();
    let full = Message::new("orders", "full", &json!([1, null]))
        .unwrap()
        .key("k")
        .header("traceparent", "00-1")
        .header("region", "us")
        .header("region", "eu")
        .deliver_at(later)
        .dedup_id("once");
    let client = client(&db);
    let first = client.publish(plain).await.unwrap();
    let second = client.publish(full).await.unwrap();
    assert_eq!(
        rows(&db).await,
        [
            (
                first,
                "plain".into(),
                None,
                json!("grüße \\u0000"),
                None,
                None
            ),
            (
                second,
                "full".into(),
                Some("k".into()),
                json!([1, null]),
                Some(json!({"region": "eu", "traceparent": "00-1"})),
                Some(later),
            ),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_is_handed_out_when_its_time_has_come() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    let later = Utc::now() + Duration::hours(1);
    let message = Message::new("orders", "n", &1).unwrap().deliver_at(later);
    let offset = client.publish(message).await.unwrap();
    assert!(
        client
            .claim(group.id, "w", 10, 10, true)
            .await
            .unwrap()
            .is_empty()
    );
    db.all_due().await;
    let claimed = client.claim(group.id, "w", 10, 10, true).await.unwrap();
    assert_eq!(
        claimed.iter().map(|m| m.offset).collect::<Vec<_>>(),
        [offset]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_dedup_id_gives_the_same_offset_and_appends_once() {
    let db = TestDb::new().await;
    let client = client(&db);
    let message = |id: &str| Message::new("orders", "n", &1).unwrap().dedup_id(id);
    let first = client.publish(message("a")).await.unwrap();
    let other = client.publish(message("b")).await.unwrap();
    assert_eq!(client.publish(message("a")).await.unwrap(), first);
    assert_eq!(
        client
            .publish_many([message("b"), message("c"), message("c")])
            .await
            .unwrap()[0],
        other
    );
    assert_eq!(rows(&db).await.len(), 3);
}
