use std::collections::BTreeMap;
use std::time::Duration;

use vulkan::{DryRun, Position, Schedule, handler};
use vulkan_testing::TestApp;

use crate::support::{OrderPlaced, audit, message};

/// For each column of the schema `vulkan` that holds times: how many, and the sum of their seconds.
type Times = BTreeMap<String, (i64, f64)>;

async fn times(app: &TestApp) -> Times {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, a.attname::text FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)",
    )
    .fetch_all(app.pool())
    .await
    .unwrap();
    let mut times = Times::new();
    for (table, column) in columns {
        let sql = format!(
            "SELECT count(*), coalesce(sum(extract(epoch FROM {column})), 0)::float8
             FROM vulkan.{table} WHERE isfinite({column})"
        );
        let found = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_one(app.pool())
            .await
            .unwrap();
        times.insert(format!("{table}.{column}"), found);
    }
    times
}

/// A database in which the engine has stored times of many kinds.
async fn lived_in() -> TestApp {
    let app = TestApp::new().await;
    let later = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    for nth in 0..4 {
        let plain = message("order.placed");
        app.publish(plain.clone().dedup_id(format!("order-{nth}")))
            .await;
        app.publish(plain.clone().key("ada")).await;
        app.publish(plain.deliver_at(later)).await;
    }
    app.drain(app.worker().register(audit)).await;
    let client = app.client();
    let group = vulkan::GroupOptions::default();
    let id = client.ensure_group("orders", "half", group).await.unwrap();
    sqlx::query("SELECT vulkan.claim($1, 'a worker', 5)")
        .bind(id)
        .execute(app.pool())
        .await
        .unwrap();
    sqlx::query(
        "SELECT vulkan.settle($1, array_agg(hi), array_agg(token)) FROM vulkan.claims
         WHERE group_id = $1 AND lease_until IS NOT NULL",
    )
    .bind(id)
    .execute(app.pool())
    .await
    .unwrap();
    sqlx::query("SELECT vulkan.claim($1, 'a worker', 5)")
        .bind(id)
        .execute(app.pool())
        .await
        .unwrap();
    client.pause("orders", "half", DryRun::No).await.unwrap();
    app
}

#[tokio::test]
async fn every_stored_time_moves_but_those_that_are_named() {
    let app = lived_in().await;
    let standing: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s', relation, attribute) FROM vulkan_testing.standing_times",
    )
    .fetch_all(app.pool())
    .await
    .unwrap();
    let before = times(&app).await;
    // Less than the lease, so that nothing is given back, and than the row of a drained key is kept.
    app.advance(Duration::from_secs(9)).await;
    let after = times(&app).await;
    assert_eq!(before.len(), after.len());
    for (column, (count, sum)) in &before {
        let moved = if standing.contains(column) { 0.0 } else { 9.0 };
        let (count_after, sum_after) = after[column];
        assert_eq!(*count, count_after, "{column}");
        #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
        let by = (sum - sum_after) / (*count).max(1) as f64;
        assert!(*count == 0 || (by - moved).abs() < 0.01, "{column}: {by}");
    }
    let filled = before.values().filter(|(count, _)| *count > 0).count();
    assert!(filled >= 15, "times of too few kinds: {before:#?}");
    app.check().await;
}

/// What is no timestamptz does not move: it needs a look.
#[tokio::test]
async fn no_time_is_stored_as_anything_else() {
    let app = TestApp::new().await;
    let others: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s %s', c.relname, a.attname, a.atttypid::regtype) FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND a.atttypid NOT IN ('timestamptz'::regtype, 'interval'::regtype)
           AND (a.attname ~ '(_at|_time|_until|_since|^tat|_ats)$' OR a.atttypid IN
                ('timestamp'::regtype, 'timestamptz[]'::regtype, 'tstzrange'::regtype, 'date'::regtype))
           AND (c.relname, a.attname) NOT IN (('keys', 'solo_until'), ('_sqlx_migrations', 'execution_time'))",
    )
    .fetch_all(app.pool())
    .await
    .unwrap();
    assert_eq!(others, Vec::<String>::new());
}

#[tokio::test]
async fn a_dedup_id_is_forgotten_after_its_window() {
    let app = TestApp::new().await;
    let once = || message("order.placed").dedup_id("order-7");
    let first = app.publish(once()).await;
    app.advance(Duration::from_secs(3500)).await;
    assert_eq!(app.publish(once()).await, first);
    app.advance(Duration::from_secs(200)).await;
    assert_ne!(app.publish(once()).await, first);
}

#[tokio::test]
async fn positions_by_time_move_along() {
    let app = TestApp::new().await;
    app.publish(&OrderPlaced { id: 1 }).await;
    app.advance(Duration::from_secs(4 * 3600)).await;
    // A worker rolls the slot, whose time has come.
    app.drain(app.worker().register(audit)).await;
    app.publish(&OrderPlaced { id: 2 }).await;
    app.drain(app.worker().register(audit)).await;
    for (hours, again) in [(1, 1), (5, 2)] {
        let then = Position::At(chrono::Utc::now() - chrono::TimeDelta::hours(hours));
        let would = app
            .client()
            .replay("orders", "audit", then, DryRun::Yes)
            .await
            .unwrap();
        assert_eq!(would.again, again, "{hours} hours ago");
    }
    app.check().await;
}

#[tokio::test]
async fn time_moves_under_load() {
    let app = TestApp::new().await;
    let orders: Vec<_> = (0..300).map(|_| message("order.placed")).collect();
    app.publish_many(orders).await;
    let orders: Vec<_> = (0..300)
        .map(|nth| message("order.placed").key((nth % 7).to_string()))
        .collect();
    app.publish_many(orders).await;
    let moving = async {
        for _ in 0..20 {
            app.advance(Duration::from_secs(1)).await;
        }
    };
    let drain = app.drain(app.worker().register(audit)).into_future();
    let (report, ()) = tokio::join!(drain, moving);
    assert_eq!(report.done(), 600, "{report}");
    app.check().await;
}

#[tokio::test]
async fn schedules_fire_as_time_moves() {
    let app = TestApp::new().await;
    app.client().create_stream("orders").await.unwrap();
    let hourly = Schedule::every("hourly", Duration::from_secs(3600)).event(&OrderPlaced { id: 1 });
    let nightly = Schedule::cron("nightly", "0 3 * * *").event(&OrderPlaced { id: 2 });
    let worker = || {
        app.worker()
            .schedule(hourly.clone())
            .schedule(nightly.clone())
            .register(audit)
    };
    let planning = app
        .worker()
        .schedule(hourly.clone())
        .schedule(nightly.clone());
    assert_eq!(app.drain(planning).await.groups.len(), 0);

    app.advance(Duration::from_secs(24 * 3600)).await;
    // By default one event for all the hours that nobody was there.
    assert_eq!(app.drain(worker()).await.done(), 2);
    for id in [1, 2] {
        let orders = app.published::<OrderPlaced>();
        orders
            .matching(move |order| order.id == id)
            .assert_count(1)
            .await;
    }
    app.assert_nothing_else_published().await;
    app.check().await;
}

#[handler(stream = "orders", group = "limited", rate = "2/h", burst = 2)]
async fn limited(_: OrderPlaced) {}

#[tokio::test]
async fn a_rate_grants_more_as_time_moves() {
    let app = TestApp::new().await;
    app.publish_many(&[1, 2, 3, 4, 5].map(|id| OrderPlaced { id }))
        .await;
    let drain = async || app.drain(app.worker().register(limited)).await.done();
    assert_eq!(drain().await, 2);
    assert_eq!(drain().await, 0);
    app.advance(Duration::from_secs(1800)).await;
    assert_eq!(drain().await, 1);
    app.advance(Duration::from_secs(3600)).await;
    assert_eq!(drain().await, 2);
    app.check().await;
}

#[handler(
    stream = "orders",
    group = "breaking",
    retries = 0,
    breaker = "50% of 2 in 1m, pause 1h"
)]
async fn breaking(order: OrderPlaced) -> vulkan::Result {
    match order.id {
        1 => Err("down".into()),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_breaker_lets_probes_through_as_time_moves() {
    let app = TestApp::new().await;
    let drain = async || app.drain(app.worker().register(breaking)).await;
    for _ in 0..2 {
        app.publish(&OrderPlaced { id: 1 }).await;
        drain().await;
    }
    app.publish_many(&[2, 3, 4].map(|id| OrderPlaced { id }))
        .await;
    assert_eq!(drain().await.groups[0].waiting, 3);
    app.advance(Duration::from_secs(3600)).await;
    assert_eq!(drain().await.done(), 3);
    app.check().await;
}
