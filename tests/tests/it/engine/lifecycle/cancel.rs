use crate::support::{Group, Publish, TestDb, offsets};

/// Cancels a message of the group for the reason "no"; the status it had.
async fn cancel(group: &Group, offset: i64) -> String {
    sqlx::query_scalar("SELECT vulkan.cancel('orders', $1, $2, 'no')")
        .bind(&group.name)
        .bind(offset)
        .fetch_one(&group.pool)
        .await
        .unwrap()
}

async fn last_error(group: &Group, offset: i64) -> String {
    sqlx::query_scalar(
        "SELECT last_error FROM vulkan.deliveries WHERE consumer_group = $1 AND event_offset = $2",
    )
    .bind(&group.name)
    .bind(offset)
    .fetch_one(&group.pool)
    .await
    .unwrap()
}

async fn requests(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM vulkan.cancel_requests")
        .await
}

async fn redrive(db: &TestDb) -> i64 {
    db.value("SELECT vulkan.redrive('orders', 'audit')").await
}

fn event(keyed: bool) -> Publish {
    let event = Publish::new("n");
    if keyed { event.key("k") } else { event }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_dead_at_once_and_can_be_redriven() {
    for keyed in [false, true] {
        for state in ["ahead", "delayed ahead", "delayed", "retry", "snooze"] {
            let db = TestDb::new().await;
            let group = db.group("audit").await.with("on_dead = 'block'").await;
            let sent = event(keyed);
            let sent = if state.starts_with("delayed") {
                sent.delayed(3600.0)
            } else {
                sent
            };
            let offset = sent.send(&db.pool).await;
            if state == "delayed" {
                assert!(group.claim().await.is_empty());
            } else if !state.contains("ahead") {
                let message = group.claim_one().await;
                group.settle_one(&message, state).await;
            }
            let spent = i32::from(state == "retry");
            let dry: String = db
                .value("SELECT vulkan.cancel('orders', 'audit', 1, dry_run => true)")
                .await;
            assert_eq!(dry, "ready", "{state}");
            assert_eq!(
                group.status(offset).await,
                Some(("ready".into(), spent)),
                "{state}"
            );
            assert_eq!(cancel(&group, offset).await, "ready", "{state}");
            assert_eq!(
                group.status(offset).await,
                Some(("dead".into(), spent)),
                "{state}"
            );
            let error = last_error(&group, offset).await;
            assert!(error.starts_with("cancelled: no"), "{state}: {error}");
            db.check().await;

            // Its key goes on, although the dead block theirs.
            let next = event(keyed).send(&db.pool).await;
            db.all_due().await;
            let message = group.claim_one().await;
            assert_eq!(message.offset, next, "{state}");
            db.check().await;
            group.done(&[message]).await;
            assert_eq!(requests(&db).await, 0);
            db.check().await;

            assert_eq!(redrive(&db).await, 1, "{state}");
            let again = group.claim_one().await;
            assert_eq!((again.offset, again.attempt), (offset, 1), "{state}");
            group.done(&[again]).await;
            db.check().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_before_its_turn_gets_its_turn_again_by_a_redrive() {
    for keyed in [false, true] {
        let db = TestDb::new().await;
        let group = db.group("audit").await;
        let first = event(keyed).send(&db.pool).await;
        let second = event(keyed).send(&db.pool).await;
        cancel(&group, first).await;
        assert_eq!(redrive(&db).await, 1);
        db.check().await;
        let messages = group.claim().await;
        assert_eq!(offsets(&messages), [first, second]);
        group.done(&messages).await;
        db.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_or_dead_is_left_alone() {
    for outcome in ["done", "dead"] {
        let db = TestDb::new().await;
        let group = db.group("audit").await;
        let offset = Publish::new("n").send(&db.pool).await;
        let message = group.claim_one().await;
        group.settle_one(&message, outcome).await;
        assert_eq!(cancel(&group, offset).await, outcome);
        assert_eq!(group.status(offset).await, Some((outcome.into(), 1)));
        assert_eq!(requests(&db).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_of_the_group_cannot_be_cancelled() {
    let db = TestDb::new().await;
    db.group("audit").await;
    let error = sqlx::query("SELECT vulkan.cancel('orders', 'audit', 77)")
        .execute(&db.pool)
        .await
        .unwrap_err();
    let code = error.as_database_error().unwrap().code().unwrap();
    assert_eq!(code, "VK005");
}

/// Whatever its handler comes to say, unless it succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_to_stop_ends_dead_or_done() {
    for keyed in [false, true] {
        for own_row in [false, true] {
            for outcome in ["retry", "dead", "snooze", "release", "done"] {
                if keyed && own_row {
                    continue;
                }
                let what = format!("{outcome} {keyed} {own_row}");
                let db = TestDb::new().await;
                let group = db.group("audit").await.with("on_dead = 'block'").await;
                let offset = event(keyed).send(&db.pool).await;
                let mut message = group.claim_one().await;
                if own_row {
                    group.settle_one(&message, "running").await;
                    message.claim_hi = None;
                }
                assert_eq!(cancel(&group, offset).await, "processing", "{what}");
                assert_eq!(group.status(offset).await, Some(("processing".into(), 1)));
                let asked: (i64, i64, Option<String>) = sqlx::query_as(
                    "SELECT event_offset, token, reason FROM vulkan.worker_orders('w', '1', ARRAY[$1])",
                )
                .bind(group.id)
                .fetch_one(&db.pool)
                .await
                .unwrap();
                assert_eq!(asked, (offset, message.token, Some("no".into())), "{what}");
                db.check().await;

                let verdicts = group.settle_one(&message, outcome).await;
                let fate = if outcome == "done" { "done" } else { "dead" };
                assert_eq!(group.status(offset).await, Some((fate.into(), 1)), "{what}");
                if fate == "dead" {
                    assert_eq!(verdicts[0].verdict, "dead", "{what}");
                    let error = last_error(&group, offset).await;
                    assert!(error.starts_with("cancelled: no"), "{what}: {error}");
                }
                assert_eq!(requests(&db).await, 0, "{what}");
                db.check().await;
                let next = event(keyed).send(&db.pool).await;
                assert_eq!(group.claim_one().await.offset, next, "{what}");
            }
        }
    }
}

/// No attempt begins after the request, even if nobody lives to heed it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_ends_what_was_asked_to_stop() {
    for keyed in [false, true] {
        for own_row in [false, true] {
            if keyed && own_row {
                continue;
            }
            let db = TestDb::new().await;
            let group = db.group("audit").await.with("on_dead = 'block'").await;
            let offset = event(keyed).send(&db.pool).await;
            let message = group.claim_one().await;
            if own_row {
                group.settle_one(&message, "running").await;
            }
            cancel(&group, offset).await;
            db.lose_leases().await;
            db.check().await;
            assert_eq!(
                group.status(offset).await,
                Some(("dead".into(), 1)),
                "{keyed} {own_row}"
            );
            let error = last_error(&group, offset).await;
            assert!(
                error.starts_with("cancelled: no; the lease of worker"),
                "{error}"
            );
            assert_eq!(requests(&db).await, 0);
            let next = event(keyed).send(&db.pool).await;
            assert_eq!(group.claim_one().await.offset, next);
        }
    }
}

/// In a run of its key that ends before it, or passes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_message_of_a_run_is_never_begun() {
    let db = TestDb::new().await;
    let group = db.group("audit").await.with("on_dead = 'block'").await;
    for _ in 0..4 {
        Publish::keyed("k").send(&db.pool).await;
    }
    let run = group.claim().await;
    assert_eq!(offsets(&run), [1, 2, 3, 4]);
    assert_eq!(cancel(&group, 2).await, "processing");
    assert_eq!(cancel(&group, 3).await, "processing");
    group.settle_one(&run[0], "progress").await;
    db.check().await;
    assert_eq!(requests(&db).await, 2);
    // Succeeded after all.
    group.settle_one(&run[1], "progress").await;
    assert_eq!(group.status(2).await.unwrap().0, "done");
    assert_eq!(requests(&db).await, 1);
    // Given back, and with it the third.
    let mut last = run[3].clone();
    last.offset = 3;
    last.claim_hi = None;
    group.settle_one(&last, "release").await;
    assert_eq!(group.status(3).await.unwrap().0, "dead");
    assert_eq!(requests(&db).await, 0);
    db.check().await;
    assert_eq!(group.claim_one().await.offset, 4);
}

/// The end of a run takes what it passed over for done, so nothing may come back into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_work_takes_nothing_redriven_for_done() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for _ in 0..3 {
        Publish::keyed("k").send(&db.pool).await;
    }
    cancel(&group, 2).await;
    let run = group.claim().await;
    assert_eq!(offsets(&run), [1, 3]);
    assert_eq!(redrive(&db).await, 0, "passed over by a run in work");
    db.check().await;
    group.done(&run).await;
    assert_eq!(redrive(&db).await, 1);
    let again = group.claim_one().await;
    assert_eq!(again.offset, 2);
    group.done(&[again]).await;
    db.check().await;
}

/// Blocked by one dead message, with another one, cancelled, behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_message_neither_blocks_its_key_nor_frees_it() {
    let db = TestDb::new().await;
    let group = db.group("audit").await.with("on_dead = 'block'").await;
    for _ in 0..3 {
        Publish::keyed("k").send(&db.pool).await;
    }
    let run = group.claim().await;
    group.settle_one(&run[0], "dead").await;
    assert_eq!(cancel(&group, 2).await, "ready");
    assert!(group.claim().await.is_empty());
    db.check().await;
    db.run("SELECT vulkan.redrive('orders', 'audit', from_offset => 2)")
        .await;
    assert!(group.claim().await.is_empty(), "still blocked");
    db.check().await;
    cancel(&group, 2).await;
    db.run("SELECT vulkan.skip('orders', 'audit', 1)").await;
    assert_eq!(group.claim_one().await.offset, 3);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_forgets_what_was_asked_above_it() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let first = Publish::new("n").send(&db.pool).await;
    let second = Publish::new("n").send(&db.pool).await;
    let messages = group.claim().await;
    cancel(&group, first).await;
    cancel(&group, second).await;
    db.run("SELECT vulkan.replay('orders', 'audit', to_offset => 1)")
        .await;
    db.check().await;
    // Below the new position it was fenced, and is not handed out again; above it all begins anew.
    assert_eq!(group.status(first).await.unwrap().0, "dead");
    assert_eq!(offsets(&group.claim().await), [second]);
    assert_eq!(requests(&db).await, 0);
    assert_eq!(
        group.settle_one(&messages[0], "done").await[0].verdict,
        "stale"
    );
}

/// A settlement under way and a request at the same moment: the message is not handed out again.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_a_settlement_wait_for_each_other() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let message = group.claim_one().await;
    let mut operator = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.cancel('orders', 'audit', $1, 'no')")
        .bind(offset)
        .execute(&mut *operator)
        .await
        .unwrap();
    let settling = {
        let (group, message) = (group.clone(), message.clone());
        tokio::spawn(async move { group.settle_one(&message, "retry").await })
    };
    db.until_blocked().await;
    operator.commit().await.unwrap();
    settling.await.unwrap();
    assert_eq!(group.status(offset).await.unwrap().0, "dead");
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_completed_by_itself_stays_done() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let message = group.claim_one().await;
    cancel(&group, offset).await;
    sqlx::query("SELECT vulkan.complete($1, $2, $3)")
        .bind(group.id)
        .bind(offset)
        .bind(message.token)
        .execute(&db.pool)
        .await
        .unwrap();
    db.lose_leases().await;
    assert_eq!(group.status(offset).await.unwrap().0, "done");
    assert_eq!(requests(&db).await, 0);
    db.check().await;
}
