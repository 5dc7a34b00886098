use crate::support::{Group, Message, Settlement, TestDb};

async fn with_breaker(db: &TestDb, options: &str) -> Group {
    let group = db.group("audit").await;
    assert!(group.set("set_breaker", options).await);
    assert!(!group.set("set_breaker", options).await);
    db.publish(200, "CASE WHEN n % 2 = 0 THEN 'k' || n END")
        .await;
    group
}

async fn state(db: &TestDb) -> String {
    db.value("SELECT breaker FROM vulkan.group_overview").await
}

/// The pause is over, whatever is left of it.
async fn wait_out(db: &TestDb) {
    db.run("UPDATE vulkan.breakers SET until = clock_timestamp() WHERE state = 'open'")
        .await;
}

async fn settle_all(group: &Group, messages: &[Message], outcome: &str) {
    let mut settlement = Settlement::closing(messages);
    for message in messages {
        let own_row = message.lane.is_some() || message.claim_hi.is_none();
        if outcome != "done" || own_row {
            settlement = settlement.item_after(message, outcome, Some(0.0));
        }
    }
    group.settle(&settlement).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_opens_when_too_many_fail_and_nothing_is_handed_out() {
    let db = TestDb::new().await;
    let group = with_breaker(&db, "50, 10, pause => '1 hour'").await;
    assert_eq!(state(&db).await, "closed");
    let good = group.claim_as("w", 6).await;
    settle_all(&group, &good, "done").await;
    let bad = group.claim_as("w", 3).await;
    settle_all(&group, &bad, "retry").await;
    assert_eq!(state(&db).await, "closed", "three of nine");
    // Keyed and unkeyed, in claims and in rows of their own.
    let bad = group.claim_as("w", 4).await;
    assert!(bad.iter().any(|message| message.attempt == 2));
    settle_all(&group, &bad, "dead").await;
    assert_eq!(state(&db).await, "open", "seven of thirteen");
    assert!(group.claim().await.is_empty());
    let (due, next) = group.look().await;
    assert!(!due);
    assert!((3500.0..=3600.0).contains(&next.unwrap()), "{next:?}");
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_failure_does_not_count() {
    let db = TestDb::new().await;
    let group = with_breaker(&db, "1, 1").await;
    for outcome in ["snooze", "release", "done"] {
        let messages = group.claim_as("w", 10).await;
        settle_all(&group, &messages, outcome).await;
    }
    group.claim_as("w", 10).await;
    db.lose_leases().await;
    assert_eq!(state(&db).await, "closed");
    // And one that does.
    let messages = group.claim_as("w", 1).await;
    settle_all(&group, &messages, "retry").await;
    assert_eq!(state(&db).await, "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_outside_the_window_are_forgotten() {
    let db = TestDb::new().await;
    let group = with_breaker(&db, "50, 4, time_window => '1 minute'").await;
    let messages = group.claim_as("w", 3).await;
    settle_all(&group, &messages, "retry").await;
    db.run("UPDATE vulkan.outcomes SET ended_at = ended_at - interval '61 seconds'")
        .await;
    let messages = group.claim_as("w", 3).await;
    settle_all(&group, &messages, "retry").await;
    assert_eq!(state(&db).await, "closed");
    db.run("SELECT vulkan.reap('2 minutes')").await;
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.outcomes")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_close_it_or_open_it_for_longer() {
    let db = TestDb::new().await;
    let group = with_breaker(
        &db,
        "50, 4, pause => '1 minute', max_pause => '3 minutes', probes => 2",
    )
    .await;
    let straggler = group.claim_as("w", 2).await;
    let messages = group.claim_as("w", 6).await;
    settle_all(&group, &messages, "retry").await;
    assert_eq!(state(&db).await, "open");
    let pause = || async {
        db.value::<f64>(
            "SELECT extract(epoch FROM until - changed_at)::float8 FROM vulkan.breakers",
        )
        .await
        .round()
    };
    let mut pauses = vec![pause().await];
    for _ in 0..3 {
        wait_out(&db).await;
        assert_eq!(state(&db).await, "half-open");
        let probes = group.claim().await;
        assert_eq!(probes.len(), 2);
        assert!(group.claim().await.is_empty());
        let (due, next) = group.look().await;
        assert!(!due && next.is_some_and(|next| next < 1.1), "{next:?}");
        settle_all(&group, &probes, "retry").await;
        assert_eq!(state(&db).await, "open");
        pauses.push(pause().await);
    }
    assert_eq!(pauses, [60.0, 120.0, 180.0, 180.0]);

    wait_out(&db).await;
    // What began before the outage says nothing of now.
    settle_all(&group, &straggler, "done").await;
    assert_eq!(state(&db).await, "half-open");
    let probes = group.claim().await;
    settle_all(&group, &probes[..1], "done").await;
    assert_eq!(state(&db).await, "half-open", "one of two");
    let more = group.claim().await;
    assert_eq!(more.len(), 1);
    settle_all(&group, &more, "done").await;
    assert_eq!(state(&db).await, "closed");
    assert!(group.claim().await.len() > 2);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_closed_by_hand_and_taken_away() {
    let db = TestDb::new().await;
    let group = with_breaker(&db, "50, 2").await;
    let messages = group.claim_as("w", 2).await;
    settle_all(&group, &messages, "retry").await;
    assert_eq!(state(&db).await, "open");
    let reset = || db.value::<bool>("SELECT vulkan.reset_breaker('orders', 'audit')");
    assert!(reset().await);
    assert!(!reset().await);
    assert_eq!(state(&db).await, "closed");
    // The failures before are forgotten.
    let messages = group.claim_as("w", 1).await;
    settle_all(&group, &messages, "retry").await;
    assert_eq!(state(&db).await, "closed");
    let messages = group.claim_as("w", 1).await;
    settle_all(&group, &messages, "retry").await;
    assert_eq!(state(&db).await, "open");
    assert!(group.set("set_breaker", "0").await);
    assert!(!group.set("set_breaker", "0").await);
    assert!(!group.claim().await.is_empty());
    for table in ["outcomes", "breakers"] {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT count(*) FROM vulkan.{table}"
        )))
        .fetch_one(&db.pool)
        .await
        .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

/// Its row, if it has one, is done when the settlement says so.
#[tokio::test]
async fn what_was_completed_in_a_transaction_counts_as_done() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    assert!(group.set("set_breaker", "50, 1").await);
    db.publish(2, "NULL").await;
    let first = group.claim_as("w", 2).await;
    settle_all(&group, &first, "retry").await;
    assert_eq!(state(&db).await, "open");
    db.all_due().await;
    wait_out(&db).await;
    let probe = group.claim_one().await;
    sqlx::query("SELECT vulkan.complete($1, $2, $3)")
        .bind(group.id)
        .bind(probe.offset)
        .bind(probe.token)
        .execute(&db.pool)
        .await
        .unwrap();
    group.done(&[probe]).await;
    assert_eq!(state(&db).await, "closed");

    // Once, also where its claim is settled with it.
    db.publish(1, "NULL").await;
    let rest = group.claim().await;
    for message in &rest {
        sqlx::query("SELECT vulkan.complete($1, $2, $3)")
            .bind(group.id)
            .bind(message.offset)
            .bind(message.token)
            .execute(&db.pool)
            .await
            .unwrap();
    }
    settle_all(&group, &rest, "done").await;
    let counted: i64 = db.value("SELECT sum(done) FROM vulkan.outcomes").await;
    assert_eq!(counted, 3);
}
