use chrono::{DateTime, Utc};
use futures::StreamExt;
use vulkan::{Client, Error, Position};

use crate::client::support::{client, message, next, next_offsets};
use crate::support::{TestDb, within};

async fn publish(client: &Client) -> i64 {
    client.publish(message("n")).await.unwrap()
}

async fn first_from(client: &Client, position: Position) -> i64 {
    let mut events = client.read("orders", position).await.unwrap();
    next(&mut events).await.offset()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_read_as_it_was_published() {
    let db = TestDb::new().await;
    let client = client(&db);
    let payload = serde_json::json!({"total": "unlogged"});
    let sent = vulkan::Message::new("orders", "order.placed", &payload).unwrap();
    let offset = client
        .publish(sent.key("k").header("h", "v"))
        .await
        .unwrap();
    let mut events = client.read("orders", Position::Earliest).await.unwrap();
    let event = next(&mut events).await;
    assert_eq!(
        (event.offset(), event.kind(), event.key()),
        (offset, "order.placed", Some("k"))
    );
    assert_eq!(event.decode::<serde_json::Value>().unwrap(), payload);
    assert_eq!(event.headers().map(|h| h.get()), Some(r#"{"h": "v"}"#));
    let at: DateTime<Utc> = db.value("SELECT created_at FROM vulkan.events").await;
    assert_eq!(event.published_at(), at);
    assert!(event.decode::<String>().is_err());
    assert!(
        !format!("{event:?}").contains("unlogged"),
        "a log is no place for payloads"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_where_it_is_told_to() {
    let db = TestDb::new().await;
    let client = client(&db);
    let (a, b, c) = (
        publish(&client).await,
        publish(&client).await,
        publish(&client).await,
    );
    let mut all = client.read("orders", Position::Earliest).await.unwrap();
    assert_eq!(next_offsets(&mut all, 3).await, [a, b, c]);
    assert_eq!(first_from(&client, Position::After(0)).await, a);
    assert_eq!(first_from(&client, Position::After(a)).await, b);

    let mut latest = client.read("orders", Position::Latest).await.unwrap();
    let d = publish(&client).await;
    assert_eq!(next(&mut latest).await.offset(), d);
    assert_eq!(next(&mut all).await.offset(), d);
}

/// As after a failover to a standby that lagged: to wait there in silence would be to skip what is published meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_newest_event_is_refused_by_name() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut offset = 0;
    for _ in 0..3 {
        offset = publish(&client).await;
    }
    // At its end a log is read on, and where a publisher that rolled back had an offset.
    let mut rolled_back = db.pool.begin().await.unwrap();
    let gap = client.publish_in(&mut *rolled_back, message("n")).await;
    let gap = gap.unwrap();
    rolled_back.rollback().await.unwrap();
    for position in [offset, gap] {
        let events = client.read("orders", Position::After(position)).await;
        drop(events.unwrap());
    }
    let beyond = client.read("orders", Position::After(gap + 1)).await;
    assert!(matches!(beyond, Err(Error::BeyondLog(_))));
    // And so is that of a reader that was there when the log went back.
    let mut events = client.read("orders", Position::After(gap)).await.unwrap();
    let next = publish(&client).await;
    assert_eq!(events.next().await.unwrap().unwrap().offset(), next);
    db.run("SELECT setval('vulkan.offset_seq', 1)").await;
    let told = within("word of it", events.next()).await.unwrap();
    assert!(matches!(told, Err(Error::BeyondLog(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_found_across_slots() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut published = Vec::new();
    for roll in [false, true, false, true, true, false] {
        if roll {
            db.run("SELECT vulkan.roll_slot()").await;
        }
        let before: DateTime<Utc> = db.value("SELECT clock_timestamp()").await;
        published.push((before, publish(&client).await));
    }
    for &(before, offset) in &published {
        assert_eq!(first_from(&client, Position::At(before)).await, offset);
        // At that time means: what was published then is read.
        let at: DateTime<Utc> =
            sqlx::query_scalar("SELECT created_at FROM vulkan.events WHERE \"offset\" = $1")
                .bind(offset)
                .fetch_one(&db.pool)
                .await
                .unwrap();
        assert_eq!(first_from(&client, Position::At(at)).await, offset);
    }
    let mut ahead = client
        .read(
            "orders",
            Position::At(Utc::now() + chrono::Duration::days(1)),
        )
        .await
        .unwrap();
    let last = publish(&client).await;
    assert_eq!(next(&mut ahead).await.offset(), last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_lends_its_position() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    let (a, b) = (publish(&client).await, publish(&client).await);
    let position = || Position::Group("audit".parse().unwrap());
    assert_eq!(first_from(&client, position()).await, a);
    let claimed = client.claim(group.id, "w", 1, 1, true).await.unwrap();
    assert_eq!(claimed[0].offset, a);
    assert_eq!(first_from(&client, position()).await, b);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_place_is_an_error_at_once() {
    let db = TestDb::new().await;
    let client = client(&db);
    let error = client
        .read("nowhere", Position::Earliest)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    let nobody = Position::Group("nobody".parse().unwrap());
    let error = client.read("orders", nobody).await.err().unwrap();
    assert!(matches!(error, Error::UnknownGroup(_)), "{error:?}");
    assert!(error.to_string().contains("nobody"), "{error}");
    let error = client
        .read("orders", Position::After(-1))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
}
