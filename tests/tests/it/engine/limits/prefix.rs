use std::collections::HashMap;

use super::keys;
use crate::support::{Group, Publish, Settlement, TestDb, offsets};

async fn parked(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM vulkan.lanes WHERE status = 'parked'")
        .await
}

async fn limited(db: &TestDb, limits: &str) -> Group {
    let group = db.group("audit").await;
    group.set("set_limits", limits).await;
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_passes_over_a_noisy_prefix() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 2").await;
    db.publish(3000, "'noisy:' || n").await;
    db.publish(3, "'quiet:' || n").await;
    let mut handed: HashMap<String, usize> = HashMap::new();
    for _ in 0..10 {
        for message in group.claim().await {
            let key = message.partition_key.unwrap();
            *handed.entry(key[..5].into()).or_default() += 1;
        }
        db.check().await;
    }
    // None was settled: two of the noisy ones, and two of the others.
    assert_eq!(handed, [("noisy".into(), 2), ("quiet".into(), 2)].into());
    assert_eq!(parked(&db).await, 2999);
    assert_eq!(group.look().await, (false, None));
    let drained: bool = db
        .value("SELECT vulkan.is_drained('orders', 'audit')")
        .await;
    assert!(!drained);
    let overview: Vec<(String, i32, i64, i64)> = sqlx::query_as(
        "SELECT prefix, max_in_flight, in_flight, parked_keys FROM vulkan.prefix_overview ORDER BY 1",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert_eq!(
        overview,
        [("noisy".into(), 2, 2, 2998), ("quiet".into(), 2, 2, 1)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_lets_the_longest_parked_go() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1").await;
    db.publish(4, "'t:' || n % 2").await;
    let first = group.claim_one().await;
    assert!(group.claim().await.is_empty());
    // The key goes to the end of the line, though it has more messages.
    group.done(&[first]).await;
    db.check().await;
    let second = group.claim_one().await;
    assert_eq!(second.offset, 2);
    assert!(group.claim().await.is_empty());
    group.done(&[second]).await;
    let third = group.claim_one().await;
    assert_eq!(third.offset, 3);
    group.settle_one(&third, "dead").await;
    let fourth = group.claim_one().await;
    assert_eq!(fourth.offset, 4);
    group.done(&[fourth]).await;
    assert!(group.claim().await.is_empty());
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.lanes").await,
        0
    );
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_a_run_makes_room() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1").await;
    db.publish(6, "'t:' || n").await;
    for outcome in ["retry", "snooze", "dead", "lost", "skip", "done"] {
        let message = group.claim_one().await;
        assert!(group.claim().await.is_empty(), "{outcome}");
        match outcome {
            "lost" => db.lose_leases().await,
            "skip" => {
                let skip = format!("{}, 'not wanted'", message.offset);
                let sql = format!("SELECT vulkan.skip('orders', 'audit', {skip})");
                sqlx::query(sqlx::AssertSqlSafe(sql))
                    .execute(&db.pool)
                    .await
                    .unwrap();
                db.check().await;
                group.settle_one(&message, "done").await;
            }
            outcome => {
                let closing = Settlement::closing(std::slice::from_ref(&message));
                let item = closing.item_after(&message, outcome, Some(3600.0));
                group.settle(&item).await;
            }
        }
        db.check().await;
    }
    // What failed or was lost comes back when it is due, one at a time.
    db.all_due().await;
    for _ in 0..3 {
        let message = group.claim_one().await;
        assert!(group.claim().await.is_empty());
        group.done(&[message]).await;
        db.check().await;
    }
    assert!(group.claim().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn skipping_what_was_about_to_go_lets_another_go() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1").await;
    db.publish(3, "'t:' || n").await;
    let first = group.claim_one().await;
    assert!(group.claim().await.is_empty());
    group.done(&[first]).await;
    // Message 2 has been let go and not been handed out.
    db.run("SELECT vulkan.skip('orders', 'audit', 2)").await;
    db.check().await;
    assert_eq!(group.claim_one().await.offset, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_can_have_a_limit_of_its_own() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1").await;
    db.publish(6, "CASE WHEN n % 2 = 0 THEN 'a:' ELSE 'b:' END || n")
        .await;
    assert_eq!(group.claim().await.len(), 2);
    assert!(group.set("set_prefix_limit", "'a', 3").await);
    db.check().await;
    assert_eq!(keys(&group.claim().await), ["a:4", "a:6"]);
    // At 0 a prefix rests altogether; the others go on.
    assert!(group.set("set_prefix_limit", "'c', 0").await);
    db.publish(2, "'c:' || n").await;
    assert!(group.claim().await.is_empty());
    db.check().await;
    assert!(group.set("set_prefix_limit", "'c', NULL").await);
    db.check().await;
    assert_eq!(group.claim().await.len(), 1);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_moved_or_taken_away_leave_nothing_parked() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1").await;
    db.publish(20, "'t/' || n % 10 || ':' || n").await;
    assert_eq!(group.claim().await.len(), 10);
    assert_eq!(parked(&db).await, 10);
    // By another delimiter all keys have one prefix.
    group
        .set(
            "set_limits",
            "max_in_flight_per_prefix => 12, prefix_delimiter => '/'",
        )
        .await;
    db.check().await;
    assert_eq!(group.claim().await.len(), 2);
    assert!(group.claim().await.is_empty());
    db.check().await;
    group
        .set("set_limits", "max_in_flight_per_prefix => 0")
        .await;
    assert_eq!(parked(&db).await, 0);
    assert_eq!(group.claim().await.len(), 8);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_set_late_holds_for_what_waits_already() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    db.publish(400, "'t:' || n % 200").await;
    let all = group.claim_as("w", 1000).await;
    assert_eq!(all.len(), 400);
    let mut settlement = Settlement::closing(&all);
    for message in &all[..200] {
        settlement = settlement.item(message, "progress");
    }
    group.settle(&settlement).await;
    group
        .set("set_limits", "max_in_flight_per_prefix => 3")
        .await;
    db.publish(2, "'u:' || n").await;
    assert_eq!(keys(&group.claim().await), ["u:1", "u:2"]);
    let mut settlement = Settlement::default();
    for message in &all[200..] {
        settlement = settlement.item(message, "release");
    }
    group.settle(&settlement).await;
    let messages = group.claim().await;
    assert_eq!(messages.len(), 3, "{:?}", keys(&messages));
    assert!(group.claim().await.is_empty());
    assert_eq!(parked(&db).await, 197);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_parked_by_mistake_is_found() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1").await;
    db.publish(2, "'t:' || n").await;
    group.claim_one().await;
    assert!(group.claim().await.is_empty());
    // As no call does it: the limit is raised, and nobody looks after the lanes.
    db.run("UPDATE vulkan.groups SET max_in_flight_per_prefix = 2")
        .await;
    let violations: i64 = db
        .value("SELECT count(*) FROM vulkan.check() WHERE invariant = 9")
        .await;
    assert_eq!(violations, 1);
    db.run("SELECT vulkan.reap()").await;
    db.check().await;
    assert_eq!(offsets(&group.claim().await), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_lets_everything_go() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1").await;
    db.publish(5, "'t:' || n").await;
    group.claim_one().await;
    assert!(group.claim().await.is_empty());
    db.run("SELECT vulkan.replay('orders', 'audit', to_position => 'earliest')")
        .await;
    db.check().await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let message = group.claim_one().await;
        assert!(group.claim().await.is_empty());
        seen.push(message.offset);
        group.done(&[message]).await;
        db.check().await;
    }
    // Between keys no order is promised.
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unkeyed_messages_have_no_prefix() {
    let db = TestDb::new().await;
    let group = limited(&db, "max_in_flight_per_prefix => 1, max_in_flight => 6").await;
    for _ in 0..4 {
        Publish::new("n").send(&db.pool).await;
    }
    db.publish(4, "'t:' || n").await;
    assert_eq!(offsets(&group.claim().await), [1, 2, 3, 4, 5]);
    assert_eq!(group.processing().await, 5);
    db.check().await;
}
