use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::PgPool;
use vulkan::{Client, Error, Message, Schedule, Worker, handler};

use super::support::code;
use crate::support::TestDb;
use crate::worker::support::{Running, until};

/// An event as the SQL takes it.
#[derive(Clone)]
struct Event {
    payload: String,
    headers: Option<String>,
    key: Option<String>,
}

fn event(payload: impl Into<String>) -> Event {
    Event {
        payload: payload.into(),
        headers: None,
        key: None,
    }
}

/// Each way into the log, and into what will be put there later.
const WAYS: [&str; 6] = [
    "SELECT vulkan.publish('orders', 'n', $1::jsonb, $2, $3::jsonb)",
    "SELECT vulkan.publish('orders', 'n', $1::jsonb, $2, $3::jsonb, dedup_id => gen_random_uuid()::text)",
    "SELECT vulkan.publish_many('orders', '{n}', ARRAY[$1::jsonb], ARRAY[$2], ARRAY[$3::jsonb])",
    "SELECT vulkan.publish_many('orders', '{n}', ARRAY[$1::jsonb], ARRAY[$2], ARRAY[$3::jsonb], dedup_ids => ARRAY[gen_random_uuid()::text])",
    "INSERT INTO vulkan.events_1 (kind, payload, partition_key, headers) VALUES ('n', $1::jsonb, $2, $3::jsonb)",
    "SELECT vulkan.put_schedule('s', 'orders', 'n', $1::jsonb, every => '1 hour', partition_key => $2, headers => $3::jsonb)",
];

async fn send(pool: &PgPool, way: &'static str, event: &Event) -> Result<(), Error> {
    sqlx::query(way)
        .bind(&event.payload)
        .bind(&event.key)
        .bind(&event.headers)
        .execute(pool)
        .await
        .map(|_| ())
        .map_err(Error::from)
}

fn text(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn entries(many: usize) -> String {
    let entries = (0..many).map(|n| (n.to_string(), json!("")));
    Value::Object(entries.collect()).to_string()
}

/// At the limit it goes in by every way, one above by none: the database looks for itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_each_limit_on_every_way() {
    let db = TestDb::new().await;
    let with_headers = |headers: String| Event {
        headers: Some(headers),
        ..event("1")
    };
    let with_key = |key: String| Event {
        key: Some(key),
        ..event("1")
    };
    // As Postgres writes it, with a blank after the colon.
    let header_of = |bytes: usize| format!(r#"{{"a": "{}"}}"#, "x".repeat(bytes - 9));
    for (good, bad, words) in [
        (
            event(text(1_048_576)),
            event(text(1_048_577)),
            "1048577 bytes",
        ),
        (event(nested(127)), event(nested(128)), "nested too deeply"),
        (
            event(format!(r#"{{"a":{}}}"#, nested(126))),
            event(format!(r#"{{"a":{}}}"#, nested(127))),
            "nested too deeply",
        ),
        (
            with_headers(entries(64)),
            with_headers(entries(65)),
            "65 headers",
        ),
        (
            with_headers(header_of(16_384)),
            with_headers(header_of(16_385)),
            "headers of 16385 bytes",
        ),
        (
            with_headers("{}".into()),
            with_headers("[]".into()),
            "object",
        ),
        (
            with_headers("{}".into()),
            with_headers("null".into()),
            "object",
        ),
        (
            with_headers(format!(r#"{{"a":{}}}"#, nested(126))),
            with_headers(format!(r#"{{"a":{}}}"#, nested(127))),
            "nested too deeply",
        ),
        (
            with_key("k".repeat(1024)),
            with_key("k".repeat(1025)),
            "1025 bytes",
        ),
        (
            with_key("ä".repeat(512)),
            with_key(format!("{}k", "ä".repeat(512))),
            "1025 bytes",
        ),
    ] {
        for way in WAYS {
            // Schedules add two headers: see engine::schedules.
            if way.contains("put_schedule")
                && words.contains("65 headers") | words.contains("16385")
            {
                continue;
            }
            let before: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
            send(&db.pool, way, &good)
                .await
                .unwrap_or_else(|error| panic!("{words}, {way}: {error:?}"));
            let after: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
            assert_eq!(after - before, i64::from(!way.contains("put_schedule")));
            let error = send(&db.pool, way, &bad).await.unwrap_err();
            let Error::Invalid(refusal) = &error else {
                panic!("{words}, {way}: {error:?}");
            };
            let says = refusal.message.contains(words);
            assert!(says && refusal.hint.is_some(), "{way}: {refusal}");
            let left: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
            assert_eq!(left, after);
        }
    }
    // What is stored in few bytes may be long as text, and the other way round.
    let numbers = format!("[{}1]", "1,".repeat(340_000));
    send(&db.pool, WAYS[0], &event(numbers)).await.unwrap();
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_a_limit_and_a_load_has_none() {
    let db = TestDb::new().await;
    // Sixteen of a mebibyte are the limit to the byte.
    let batch = |more: &str| {
        format!(
            "SELECT vulkan.publish_many('orders', array_fill('n'::text, ARRAY[16 + {n}]),
                array_fill(to_jsonb(repeat('x', 1048574)), ARRAY[16]) || '{more}'::jsonb[] {dedup})",
            n = usize::from(more != "{}"),
            dedup = "",
        )
    };
    super::support::run(&db.pool, batch("{}")).await;
    assert_eq!(code(&db.pool, &batch("{1}")).await, "VK003");
    let count: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
    assert_eq!(count, 16);
    db.run(
        "INSERT INTO vulkan.events_1 (kind, payload) SELECT 'n', to_jsonb(repeat('x', 1048574)) FROM generate_series(1, 17)",
    )
    .await;
    // A load of many good ones and one bad one appends none.
    let load = "INSERT INTO vulkan.events_1 (kind, payload)
        SELECT 'n', CASE n WHEN 500 THEN to_jsonb(repeat('x', 1048575)) ELSE '1' END FROM generate_series(1, 1000) n";
    assert_eq!(code(&db.pool, load).await, "VK003");
    // Nor does one that stands compressed in another table, where it has few bytes.
    db.run(
        "CREATE TABLE small (p jsonb); INSERT INTO small VALUES (to_jsonb(repeat('x', 2000000)))",
    )
    .await;
    let load = "INSERT INTO vulkan.events_1 (kind, payload) SELECT 'n', p FROM small";
    assert_eq!(code(&db.pool, load).await, "VK003");
    let one = "SELECT vulkan.publish('orders', 'n', p) FROM small";
    assert_eq!(code(&db.pool, one).await, "VK003");
    let kind = "INSERT INTO vulkan.events_1 (kind, payload) VALUES (repeat('k', 257), '1')";
    assert_eq!(code(&db.pool, kind).await, "VK003");
    let count: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
    assert_eq!(count, 33);
}

#[handler(stream = "orders", group = "large")]
async fn take(text: String) -> vulkan::Result {
    if text.len() == 20_000_000 {
        return Ok(());
    }
    Err("another".into())
}

/// The limit of payloads is a setting: twenty megabytes are refused with the way out, and go through with it.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_are_refused_until_they_are_asked_for() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let large = || Message::new("orders", "n", &"x".repeat(20_000_000)).unwrap();
    let error = client.publish(large()).await.unwrap_err();
    let Error::Invalid(refusal) = &error else {
        panic!("{error:?}");
    };
    assert!(refusal.to_string().contains("max_payload"), "{refusal}");
    db.run("UPDATE vulkan.meta SET max_payload = 33554432")
        .await;
    let offset = client.publish(large()).await.unwrap();
    let loaded = client.load([large()]).await.unwrap();
    assert_eq!(loaded, 1);
    let worker = Worker::builder(client).poll(Duration::from_millis(50));
    let running = Running::start(worker.register(take));
    until("both to be done", async || {
        db.count("large", "done").await == 2
    })
    .await;
    assert!(db.stand("large", offset).await.is("done", 1));
    running.stop().await.unwrap();
    for bad in ["65535", "67108865", "NULL"] {
        let sql = format!("UPDATE vulkan.meta SET max_payload = {bad}");
        code(&db.pool, &sql).await;
    }
}

/// The client refuses it before the database does, whose refusal would abort the caller's transaction.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_spares_the_callers_transaction() {
    let db = TestDb::new().await;
    let client: Client = db.client().await;
    let raw = |json: String| {
        let json = RawValue::from_string(json).unwrap();
        Message::new("orders", "n", &json).unwrap()
    };
    let one = || raw("1".into());
    let headers = |many: usize| (0..many).fold(one(), |one, n| one.header(n.to_string(), ""));
    for (good, bad) in [
        (raw(nested(127)), raw(nested(128))),
        (headers(64), headers(65)),
        (
            one().header("a", "x".repeat(16_384 - 9)),
            one().header("a", "x".repeat(16_384 - 7)),
        ),
        (one().key("k".repeat(1024)), one().key("k".repeat(1025))),
        (
            one().dedup_id("k".repeat(512)),
            one().dedup_id("k".repeat(513)),
        ),
    ] {
        let mut tx = client.begin().await.unwrap();
        let error = client.publish_in(&mut *tx, bad.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        let error = client.publish_many_in(&mut *tx, [one(), bad.clone()]).await;
        assert!(matches!(error, Err(Error::Invalid(_))), "{error:?}");
        client.publish_in(&mut *tx, good.clone()).await.unwrap();
        tx.commit().await.unwrap();
        let merged = client.publisher();
        merged.publish(bad.clone()).await.unwrap_err();
        let schedule = Schedule::every("s", Duration::from_secs(60)).event(bad);
        client.put_schedule(&schedule).await.unwrap_err();
    }
    let mut tx = client.begin().await.unwrap();
    let many = (0..17).map(|_| raw(text(1_000_000)));
    let error = client.publish_many_in(&mut *tx, many).await.unwrap_err();
    assert!(error.to_string().contains("17000000 bytes"), "{error}");
    client.publish_in(&mut *tx, one()).await.unwrap();
    tx.commit().await.unwrap();
    let many = (0..17).map(|_| raw(text(1_000_000)));
    assert_eq!(client.load(many).await.unwrap(), 17);
    db.check().await;
}
