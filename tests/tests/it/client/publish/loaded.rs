use std::collections::BTreeMap;
use std::iter::empty;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use vulkan::{Client, Error, Message};

use crate::client::support::{client, message, next, next_offsets, until};
use crate::support::{TestDb, within};

const TEXTS: [&str; 9] = [
    "",
    "plain",
    "\\N and \\. and \\\\ and \\n",
    "tab\tnewline\nreturn\r\r\n",
    "\"double\" and 'single'",
    "äöü ß 日本語 🦀 \u{200d}\u{feff}",
    "\u{1}\u{7f}\u{85}\u{2028}",
    "{\"json\": [1, \"\\u0041\"]}",
    "NULL,,;\t{}",
];

type Stored = (
    String,
    Value,
    Option<String>,
    Option<Value>,
    Option<DateTime<Utc>>,
);

fn numbered(number: usize) -> Message {
    Message::new("orders", "n", &number).unwrap()
}

/// Every optional column there or not, every text in every place: as it went in, in the order in which it went in.
#[tokio::test(flavor = "multi_thread")]
async fn everything_stands_in_the_log_as_it_was_pushed() {
    let db = TestDb::new().await;
    let client = client(&db);
    let later = Utc.timestamp_micros(4_102_444_800_123_456).unwrap();
    let expected: Vec<_> = (0..4_000)
        .map(|n| {
            let text = TEXTS[n % TEXTS.len()].to_owned();
            (
                format!("kind.{}", n % 7),
                json!({"n": n, "text": text, "filler": "x".repeat(100)}),
                (n & 1 != 0).then(|| text.clone()),
                (n & 2 != 0).then(|| json!({ text.clone(): text, "b": "2" })),
                (n & 4 != 0).then_some(later),
            )
        })
        .collect();
    let messages = expected.iter().map(|(kind, payload, key, headers, at)| {
        let mut message = Message::new("orders", kind, payload).unwrap();
        if let Some(key) = key {
            message = message.key(key);
        }
        for (name, value) in headers.iter().flat_map(|h| h.as_object().unwrap()) {
            message = message.header(name, value.as_str().unwrap());
        }
        match at {
            Some(at) => message.deliver_at(*at),
            None => message,
        }
    });
    let before = client.publish(message("before")).await.unwrap();
    assert_eq!(client.load(messages).await.unwrap(), 4_000);
    let stored: Vec<Stored> = sqlx::query_as(
        "SELECT kind, payload, partition_key, headers, deliver_at FROM vulkan.events
             WHERE \"offset\" > $1 AND created_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
             ORDER BY \"offset\"",
    )
    .bind(before)
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert!(stored == expected);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_taken_as_it_is_written() {
    let db = TestDb::new().await;
    let client = client(&db);
    let raw = "{\n\t\"a\" : [ 1.50, -0, 1e3 ],\r\n \"\\u00e4\\\\\" : \"\\\\u0000 \\n\" }";
    let payload = RawValue::from_string(raw.into()).unwrap();
    let written = || Message::new("orders", "n", &payload).unwrap();
    client.load([written()]).await.unwrap();
    client.publish(written()).await.unwrap();
    let texts: Vec<String> = db
        .value("SELECT array_agg(payload::text) FROM vulkan.events")
        .await;
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_counts_from_the_beginning_of_the_load() {
    let db = TestDb::new().await;
    let client = client(&db);
    let minute = Duration::from_secs(60);
    let mut loader = client.loader("orders").await.unwrap();
    for delay in [minute, Duration::ZERO, Duration::from_secs(1 << 32)] {
        loader.push(message("n").delay(delay)).await.unwrap();
    }
    // Postgres would take the greatest number for a time that never comes.
    let began = Utc::now() - TimeDelta::days(365_250) * 20;
    loader.push(message("n").deliver_at(began)).await.unwrap();
    for too_long in [Duration::MAX, Duration::from_micros(i64::MAX as u64)] {
        let error = loader.push(message("n").delay(too_long)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    }
    // 20 millennia ago is before Postgres' time: refused by itself, at the end.
    let error = loader.finish().await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");

    let mut loader = client.loader("orders").await.unwrap();
    for delay in [minute, Duration::ZERO, Duration::from_secs(1 << 32)] {
        loader.push(message("n").delay(delay)).await.unwrap();
    }
    assert_eq!(loader.finish().await.unwrap(), 3);
    let right: Vec<bool> = db
        .value(
            "SELECT array_agg(abs(extract(epoch FROM deliver_at - created_at) - wanted) < 30 ORDER BY \"offset\")
             FROM (SELECT *, (ARRAY[60, 0, 4294967296])[row_number() OVER (ORDER BY \"offset\")] AS wanted FROM vulkan.events) e",
        )
        .await;
    assert_eq!(right, [true; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_load_is_nothing() {
    let db = TestDb::new().await;
    let client = client(&db);
    assert_eq!(client.load(empty::<Message>()).await.unwrap(), 0);
    let loader = client.loader("orders").await.unwrap();
    assert_eq!(loader.finish().await.unwrap(), 0);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
}

/// More than goes into one COPY, and events greater than what is sent at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_load_is_several_copies_in_one_transaction() {
    let db = TestDb::new().await;
    let client = client(&db);
    let filler = "x".repeat(200_000);
    let mut loader = client.loader("orders").await.unwrap();
    for n in 0..400 {
        let payload = json!({"n": n, "filler": filler});
        loader
            .push(Message::new("orders", "n", &payload).unwrap())
            .await
            .unwrap();
    }
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
    assert_eq!(loader.finish().await.unwrap(), 400);
    let (numbers, copies, transactions): (Vec<i32>, i64, i64) = sqlx::query_as(
        "SELECT array_agg((payload ->> 'n')::int ORDER BY \"offset\"), count(DISTINCT created_at), count(DISTINCT xmin::text)
         FROM vulkan.events",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert!(numbers == Vec::from_iter(0..400));
    assert_eq!((copies, transactions), (3, 1));
}

/// What others publish during a load waits for its end, and then comes after it was begun: nothing is skipped.
#[tokio::test(flavor = "multi_thread")]
async fn who_claims_during_a_load_skips_nothing() {
    let db = TestDb::new().await;
    let client = client(&db);
    let group = db.group("audit").await;
    let before = client.publish(message("n")).await.unwrap();
    let mut loader = client.loader("orders").await.unwrap();
    // Before its first row; what is published before that is not held up.
    until("the load to be announced", async || {
        let holders = "SELECT count(*) FROM vulkan.lso_holders";
        db.value::<i64>(holders).await == 1
    })
    .await;
    let mut others = Vec::new();
    for n in 0..3_000 {
        let payload = json!({"n": n, "filler": "x".repeat(100)});
        let key = format!("key {}", n % 10);
        let message = Message::new("orders", "n", &payload).unwrap().key(key);
        loader.push(message).await.unwrap();
        if n % 500 == 499 {
            others.push(client.publish(numbered(n)).await.unwrap());
        }
    }
    let first = group.claim().await;
    assert_eq!(first.iter().map(|m| m.offset).collect::<Vec<_>>(), [before]);
    group.done(&first).await;
    assert_eq!(loader.finish().await.unwrap(), 3_000);
    let mut seen = BTreeMap::new();
    within("all of it to be claimed", async {
        while seen.len() < 3_006 {
            let messages = group.claim_as("worker", 500).await;
            group.done(&messages).await;
            for message in messages {
                assert!(seen.insert(message.offset, ()).is_none());
            }
        }
    })
    .await;
    assert!(others.iter().all(|offset| seen.contains_key(offset)));
    assert!(group.claim().await.is_empty());
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_falls_asleep_during_a_load_is_woken() {
    let db = TestDb::new().await;
    let client: Client = client(&db);
    let mut events = client
        .read("orders", vulkan::Position::Earliest)
        .await
        .unwrap();
    for _ in 0..3 {
        let mut loader = client.loader("orders").await.unwrap();
        loader.push(message("one")).await.unwrap();
        db.asleep().await;
        assert!(futures::poll!(futures::StreamExt::next(&mut events)).is_pending());
        loader.push(message("two")).await.unwrap();
        loader.finish().await.unwrap();
        assert_eq!(next(&mut events).await.kind(), "one");
        assert_eq!(next_offsets(&mut events, 1).await.len(), 1);
    }
}
