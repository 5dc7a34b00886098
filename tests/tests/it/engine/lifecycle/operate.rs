use crate::support::{Group, Publish, TestDb, offsets};

/// Calls an operator's function on the group `audit` and returns what it says, as text.
async fn operate(db: &TestDb, call: &str) -> String {
    let sql = format!("SELECT (vulkan.{call})::text");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&db.pool)
        .await
        .unwrap_or_else(|error| panic!("{call}: {error}"))
}

async fn status(group: &Group, offset: i64) -> String {
    group.status(offset).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_group_hands_out_nothing_and_finishes_what_is_in_flight() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    Publish::new("n").send(&db.pool).await;
    let in_flight = group.claim().await;
    Publish::new("n").send(&db.pool).await;
    assert_eq!(
        operate(&db, "pause('orders', 'audit', dry_run => true)").await,
        "1"
    );
    assert_eq!(operate(&db, "pause('orders', 'audit')").await, "1");
    assert!(group.claim().await.is_empty());
    group.done(&in_flight).await;
    assert_eq!(
        operate(&db, "resume('orders', 'audit', dry_run => true)").await,
        "1"
    );
    assert!(group.claim().await.is_empty());
    assert_eq!(operate(&db, "resume('orders', 'audit')").await, "1");
    assert_eq!(group.claim().await.len(), 1);
}

/// Nothing is handed out once a pause is committed, not even by a claim that began before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_waits_for_claims_under_way_and_keeps_others_out() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    Publish::new("n").send(&db.pool).await;
    let mut claiming = db.pool.begin().await.unwrap();
    let claim = "SELECT count(*) FROM vulkan.claim($1, 'w')";
    let claimed: i64 = sqlx::query_scalar(claim)
        .bind(group.id)
        .fetch_one(&mut *claiming)
        .await
        .unwrap();
    assert_eq!(claimed, 1);
    Publish::new("n").send(&db.pool).await;
    let mut pausing = db.pool.begin().await.unwrap();
    let paused = tokio::spawn(async move {
        let in_flight: i64 = sqlx::query_scalar("SELECT vulkan.pause('orders', 'audit')")
            .fetch_one(&mut *pausing)
            .await
            .unwrap();
        (pausing, in_flight)
    });
    db.until_blocked().await;
    assert!(group.claim().await.is_empty(), "the pause stands in line");
    claiming.commit().await.unwrap();
    let (pausing, in_flight) = paused.await.unwrap();
    assert_eq!(in_flight, 1);
    assert!(group.claim().await.is_empty(), "about to be paused");
    pausing.commit().await.unwrap();
    assert!(group.claim().await.is_empty());
    operate(&db, "resume('orders', 'audit')").await;
    assert_eq!(group.claim().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_skipped_in_every_state() {
    for keyed in [false, true] {
        for state in ["ahead", "retry", "processing", "running", "dead", "done"] {
            if keyed && state == "running" {
                continue;
            }
            let db = TestDb::new().await;
            let group = db.group("audit").await;
            let sent = Publish::new("n");
            let sent = if keyed { sent.key("k") } else { sent };
            let offset = sent.send(&db.pool).await;
            let mut held = None;
            if state != "ahead" {
                let message = group.claim_one().await;
                if !matches!(state, "processing") {
                    group.settle_one(&message, state).await;
                }
                held = Some(message);
            }
            let was = match state {
                "ahead" | "retry" => "ready",
                "running" => "processing",
                other => other,
            };
            let call = format!("skip('orders', 'audit', {offset}, 'bad', dry_run => true)");
            assert_eq!(operate(&db, &call).await, was);
            assert_eq!(status(&group, offset).await, was);
            let call = format!("skip('orders', 'audit', {offset}, 'bad')");
            assert_eq!(operate(&db, &call).await, was, "{state}");
            assert_eq!(status(&group, offset).await, "done", "{state}");
            db.check().await;
            if let ("processing", Some(message)) = (state, held) {
                let verdicts = group.settle_one(&message, "retry").await;
                assert_eq!(verdicts.last().unwrap().verdict, "stale");
            }
            db.lose_leases().await;
            db.all_due().await;
            assert!(group.claim().await.is_empty(), "{state}");
            assert_eq!(status(&group, offset).await, "done", "{state}");
            db.check().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_message_of_the_group_can_be_skipped() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let error = sqlx::query("SELECT vulkan.skip('orders', 'audit', 77)")
        .execute(&group.pool)
        .await
        .unwrap_err();
    let code = error
        .as_database_error()
        .unwrap()
        .code()
        .unwrap()
        .into_owned();
    assert_eq!(code, "VK005");
}

/// A message skipped in work says no more about its key, even where the dead block theirs.
#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_a_skipped_message_blocks_no_key() {
    let db = TestDb::new().await;
    let group = db.group("audit").await.with("on_dead = 'block'").await;
    let first = Publish::keyed("k").send(&db.pool).await;
    let second = Publish::keyed("k").send(&db.pool).await;
    let messages = group.claim().await;
    assert_eq!(offsets(&messages), [first, second]);
    operate(&db, &format!("skip('orders', 'audit', {first})")).await;
    let verdicts = group.settle_one(&messages[0], "dead").await;
    assert_eq!(verdicts[0].verdict, "stale");
    assert_eq!(group.claim_one().await.offset, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive_picks_by_kind_error_and_range_and_gives_a_fresh_budget() {
    let db = TestDb::new().await;
    let group = db.group("audit").await.with("max_attempts = 1").await;
    let mut dead = Vec::new();
    for kind in ["a.x", "a.y", "b.x", "b.y"] {
        dead.push(Publish::new(kind).send(&db.pool).await);
        let message = group.claim_one().await;
        group.settle_one(&message, "retry").await;
    }
    let [_, second, third, last] = dead[..] else {
        panic!()
    };
    for (filter, picks) in [
        (String::new(), 4),
        (", kind_pattern => 'a.*'".into(), 2),
        (", kind_pattern => '*.x', from_offset => 2".into(), 1),
        (format!(", error_like => '% of {third}'"), 1),
        (", error_like => 'nothing'".into(), 0),
        (
            format!(", from_offset => {second}, to_offset => {third}"),
            2,
        ),
        (", at_most => 3".into(), 3),
    ] {
        let call = format!("redrive('orders', 'audit'{filter}, dry_run => true)");
        assert_eq!(operate(&db, &call).await, picks.to_string(), "{call}");
    }
    let call = format!("redrive('orders', 'audit', from_offset => {last})");
    assert_eq!(operate(&db, &call).await, "1");
    let again = group.claim_one().await;
    assert_eq!((again.offset, again.attempt, again.solo), (last, 1, false));
    group.done(&[again]).await;
    assert_eq!(
        operate(&db, "redrive('orders', 'audit', at_most => 2)").await,
        "2"
    );
    assert_eq!(offsets(&group.claim().await), [dead[0], second]);
    assert_eq!(status(&group, third).await, "dead");
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_key_goes_through_its_lane_before_what_waits_there() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let first = Publish::keyed("k").send(&db.pool).await;
    let second = Publish::keyed("k").send(&db.pool).await;
    let messages = group.claim().await;
    group.settle_one(&messages[0], "dead").await;
    let busy = group.claim_one().await;
    assert_eq!(busy.offset, second);
    let third = Publish::keyed("k").send(&db.pool).await;
    assert_eq!(operate(&db, "redrive('orders', 'audit')").await, "1");
    assert!(group.claim().await.is_empty(), "the key is in work");
    db.check().await;
    group.done(&[busy]).await;
    let redriven = group.claim_one().await;
    assert_eq!((redriven.offset, redriven.attempt), (first, 1));
    assert!(group.claim().await.is_empty());
    db.check().await;
    group.done(&[redriven]).await;
    let last = group.claim_one().await;
    assert_eq!(last.offset, third);
    group.done(&[last]).await;

    // And with no lane left at all.
    db.run("UPDATE vulkan.exceptions SET status = 'dead'").await;
    assert_eq!(operate(&db, "redrive('orders', 'audit')").await, "1");
    db.check().await;
    assert_eq!(group.claim_one().await.offset, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_message_blocks_its_key_where_asked_to() {
    for release in ["skip('orders', 'audit', 1)", "redrive('orders', 'audit')"] {
        let db = TestDb::new().await;
        let group = db.group("audit").await.with("on_dead = 'block'").await;
        for _ in 0..3 {
            Publish::keyed("k").send(&db.pool).await;
        }
        let messages = group.claim().await;
        assert_eq!(offsets(&messages), [1, 2, 3]);
        group.settle_one(&messages[0], "dead").await;
        let other = Publish::keyed("other").send(&db.pool).await;
        let free = group.claim_one().await;
        assert_eq!(free.offset, other);
        group.done(&[free]).await;
        let blocked: (String, i64, String) =
            sqlx::query_as("SELECT partition_key, head, reason FROM vulkan.blocked_keys")
                .fetch_one(&db.pool)
                .await
                .unwrap();
        assert_eq!(blocked, ("k".into(), 1, "dead".into()));
        db.check().await;

        operate(&db, release).await;
        db.check().await;
        let rest: &[i64] = if release.starts_with("skip") {
            &[2, 3]
        } else {
            &[1, 2, 3]
        };
        let messages = group.claim().await;
        assert_eq!(offsets(&messages), rest, "{release}");
        group.done(&messages).await;
        let count: i64 = db.value("SELECT count(*) FROM vulkan.lanes").await;
        assert_eq!(count, 0);
    }
}
