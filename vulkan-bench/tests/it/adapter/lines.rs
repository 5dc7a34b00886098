use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::support::Adapter;

#[tokio::test]
async fn every_line_is_as_the_contract_says() {
    let before = Utc::now();
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let variables = [
        ("SCENARIO", "long_horizon"),
        ("PRODUCER_RATE", "200"),
        ("SAMPLE_EVERY_S", "2"),
        ("JOB_PAYLOAD_BYTES", "300"),
    ];
    let mut adapter = Adapter::start(&database.url(), &variables);
    let descriptor = adapter.descriptor().await;
    assert_eq!(descriptor["system"], "vulkan");
    assert_eq!(descriptor["extensions"], json!([]));
    assert_eq!(descriptor["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(descriptor["db_name"], database.name());
    let started: DateTime<Utc> = descriptor["started_at"].as_str().unwrap().parse().unwrap();
    assert!(started.timestamp_millis() >= before.timestamp_millis() && started <= Utc::now());

    let pool = PgPool::connect(&database.url()).await.unwrap();
    let version: i32 = sqlx::query_scalar("SELECT schema_version FROM vulkan.meta")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(descriptor["schema_version"], version.to_string());
    let tables: Vec<&str> = descriptor["event_tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table.as_str().unwrap())
        .collect();
    for table in ["claims", "exceptions", "keys", "runs", "workers"] {
        assert!(
            tables.contains(&format!("vulkan.{table}").as_str()),
            "{tables:?}"
        );
    }
    let mut last = None;
    for _ in 0..3 {
        let sample = adapter.sample().await;
        let time = sample.0[0]["t"].as_str().unwrap();
        // Seconds, and milliseconds that are none.
        let t: DateTime<Utc> = time.parse().unwrap();
        assert!(time.len() == 24 && time.ends_with(".000Z"), "{time}");
        assert_eq!(t.timestamp() % 2, 0, "{time}");
        let said = Utc::now();
        assert!(t <= said, "{t} {said}");
        if let Some(last) = last.replace(t) {
            assert!(t > last && (t - last).num_seconds() % 2 == 0, "{last} {t}");
        }
        for (metric, window) in [
            ("claim_p50_ms", 30.0),
            ("claim_p95_ms", 30.0),
            ("claim_p99_ms", 30.0),
            ("queue_depth", 0.0),
        ] {
            assert_eq!(sample.line(metric)["window_s"], window);
        }
        for metric in ["enqueue_rate", "completion_rate"] {
            let window = sample.line(metric)["window_s"].as_f64().unwrap();
            assert!(window >= 2.0 && window % 2.0 == 0.0, "{sample:?}");
        }
        for line in &sample.0 {
            assert_eq!(line["kind"], "adapter");
            assert_eq!(line["system"], "vulkan");
            assert_eq!(line["subject_kind"], "adapter");
            assert_eq!(line["subject"], "");
            assert!(line["value"].as_f64().unwrap() >= 0.0, "{line}");
            assert_eq!(line.as_object().unwrap().len(), 8, "{line}");
        }
        let [p50, p95, p99] =
            ["claim_p50_ms", "claim_p95_ms", "claim_p99_ms"].map(|it| sample.value(it));
        assert!(p50 <= p95 && p95 <= p99, "{sample:?}");
    }
    // None of them is partitioned, and the log is among them.
    let leaf: String = sqlx::query_scalar(
        "SELECT tableoid::regclass::text FROM vulkan.events ORDER BY \"offset\" LIMIT 1",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(tables.contains(&leaf.as_str()), "{leaf} {tables:?}");
    assert!(!tables.contains(&"vulkan.events"), "{tables:?}");
    // The text that was sent, which the database writes with two spaces more for each of two members.
    let bytes: Vec<i32> =
        sqlx::query_scalar("SELECT DISTINCT octet_length(payload::text) FROM vulkan.events")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(bytes, [300 + 3]);
    adapter.signal("TERM").await;
    assert_eq!(adapter.exit().await.code(), Some(0));
    while let Some(line) = adapter.line().await {
        assert_eq!(line["kind"], "adapter");
    }
}

/// The harness refuses an adapter whose descriptor lacks a table of its manifest.
#[tokio::test]
async fn the_manifest_is_a_part_of_the_descriptor() {
    let manifest: Value =
        serde_json::from_str(include_str!("../../../contest/adapter.json")).unwrap();
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let mut adapter = Adapter::start(&database.url(), &[]);
    let descriptor = adapter.descriptor().await;
    for part in ["event_tables", "extensions"] {
        let runtime = descriptor[part].as_array().unwrap();
        for one in manifest[part].as_array().unwrap() {
            assert!(runtime.contains(one), "{one} is not in {runtime:?}");
        }
    }
    assert_eq!(manifest["system"], descriptor["system"]);
    let pool = PgPool::connect(&database.url()).await.unwrap();
    for index in manifest["event_indexes"].as_array().unwrap() {
        let found: Option<String> = sqlx::query_scalar("SELECT to_regclass($1)::text")
            .bind(index.as_str())
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(found.is_some(), "there is no {index}");
    }
    // Each as the harness looks it up.
    for table in descriptor["event_tables"].as_array().unwrap() {
        let (schema, name) = table.as_str().unwrap().split_once('.').unwrap();
        let found: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = $2",
        )
        .bind(schema)
        .bind(name)
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(found, 1, "{table}");
    }
}
