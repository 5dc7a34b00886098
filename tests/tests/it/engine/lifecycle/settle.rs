use crate::support::{Group, Message, Publish, Settlement, TestDb, offsets};

async fn publish(db: &TestDb, many: usize) -> Vec<i64> {
    let mut sent = Vec::new();
    for _ in 0..many {
        sent.push(Publish::new("n").send(&db.pool).await);
    }
    sent
}

fn state(status: &str, attempts: i32) -> Option<(String, i32)> {
    Some((status.into(), attempts))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_failures_leaves_one_row() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let sent = publish(&db, 20).await;
    assert_eq!(group.status(sent[0]).await, state("ready", 0));
    let messages = group.claim().await;
    assert_eq!(offsets(&messages), sent);
    assert!(messages.iter().all(|m| m.attempt == 1 && !m.solo));
    assert_eq!(group.status(sent[7]).await, state("processing", 1));
    assert!(group.claim().await.is_empty());
    group.done(&messages).await;
    assert_eq!(group.status(sent[7]).await, state("done", 1));
    let rows = "SELECT (SELECT count(*) FROM vulkan.claims WHERE origin = 'claim')
        + (SELECT count(*) FROM vulkan.exceptions) + (SELECT count(*) FROM vulkan.lanes)";
    assert_eq!(db.value::<i64>(rows).await, 1);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outcome_leaves_its_status_and_attempts() {
    for keyed in [false, true] {
        let db = TestDb::new().await;
        let group = db.group("audit").await;
        for (outcome, status, attempts) in [
            ("done", "done", 1),
            ("retry", "ready", 1),
            ("dead", "dead", 1),
            ("snooze", "ready", 0),
            ("release", "ready", 0),
        ] {
            let sent = match keyed {
                true => Publish::keyed(outcome),
                false => Publish::new("n"),
            };
            let offset = sent.send(&db.pool).await;
            let message = group.claim_as("worker", 1).await.remove(0);
            assert_eq!(message.offset, offset);
            let item = Settlement::closing(std::slice::from_ref(&message));
            let item = item.item_after(&message, outcome, Some(3600.0));
            let verdicts = group.settle(&item).await;
            match outcome {
                "done" => assert_eq!(verdicts, []),
                _ => assert_eq!(verdicts[0].verdict, status),
            }
            assert_eq!(group.status(offset).await, state(status, attempts));
            db.check().await;
            if outcome == "release" {
                // A release waits for nothing, whatever the delay says.
                assert_eq!(group.claim_one().await.attempt, 1);
            }
        }
        db.all_due().await;
        let again: Vec<_> = group.claim().await.iter().map(|m| m.attempt).collect();
        assert_eq!(
            again.iter().sum::<i32>(),
            3,
            "the retry's second, the snooze's first"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_attempt_is_dead_and_keeps_its_error() {
    for keyed in [false, true] {
        let db = TestDb::new().await;
        let group = db.group("audit").await.with("max_attempts = 3").await;
        let sent = Publish::new("n");
        let sent = if keyed { sent.key("k") } else { sent };
        let offset = sent.send(&db.pool).await;
        for attempt in 1..=3 {
            db.all_due().await;
            let message = group.claim_one().await;
            assert_eq!(message.attempt, attempt);
            let verdict = &group.settle_one(&message, "retry").await[0].verdict;
            assert_eq!(verdict, if attempt == 3 { "dead" } else { "ready" });
            db.check().await;
        }
        db.all_due().await;
        assert!(group.claim().await.is_empty());
        let error: String = db
            .value("SELECT last_error FROM vulkan.deliveries WHERE status = 'dead'")
            .await;
        assert_eq!(error, format!("retry of {offset}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backoff_doubles_up_to_its_maximum() {
    let db = TestDb::new().await;
    for (attempt, seconds) in [(1, 2.0), (2, 4.0), (5, 32.0), (10, 600.0), (1000, 600.0)] {
        let delay: f64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM vulkan.backoff('2 seconds', '10 minutes', $1))::float8",
        )
        .bind(attempt)
        .fetch_one(&db.pool)
        .await
        .unwrap();
        assert!(
            (0.89..1.11).contains(&(delay / seconds)),
            "{attempt}: {delay}"
        );
    }
}

/// A settlement closes the claim at once; what still runs is a row of its own from then on.
#[tokio::test(flavor = "multi_thread")]
async fn what_still_runs_outlives_its_claim_in_a_row_of_its_own() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let sent = publish(&db, 3).await;
    let messages = group.claim().await;
    let verdicts = group.settle_one(&messages[1], "running").await;
    assert_eq!(verdicts[0].verdict, "running");
    let running = Message {
        claim_hi: None,
        ..messages[1].clone()
    };
    assert_eq!(group.status(sent[0]).await, state("done", 1));
    assert_eq!(group.status(sent[1]).await, state("processing", 1));
    db.check().await;

    assert_eq!(
        group.settle_one(&running, "retry").await[0].verdict,
        "ready"
    );
    assert_eq!(group.status(sent[1]).await, state("ready", 1));
    assert_eq!(group.settle_one(&running, "done").await[0].verdict, "stale");
    db.check().await;
}

async fn assert_stale(db: &TestDb, group: &Group, zombie: &Message) {
    let before: Vec<String> = everything(db).await;
    for outcome in [
        "done", "progress", "running", "retry", "dead", "snooze", "release",
    ] {
        let verdicts = group.settle_one(zombie, outcome).await;
        assert!(!verdicts.is_empty(), "{outcome} of {zombie:?}");
        for verdict in verdicts {
            assert_eq!(verdict.verdict, "stale", "{outcome} of {zombie:?}");
        }
        assert_eq!(everything(db).await, before, "{outcome} of {zombie:?}");
    }
}

async fn everything(db: &TestDb) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT c::text FROM vulkan.claims c UNION ALL SELECT x::text FROM vulkan.exceptions x
         UNION ALL SELECT l::text FROM vulkan.lanes l UNION ALL SELECT r::text FROM vulkan.runs r
         ORDER BY 1",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_changes_nothing() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let mut zombies = Vec::new();
    for sent in [Publish::new("n"), Publish::keyed("k")] {
        sent.send(&db.pool).await;
    }
    // First the claim and the lane opened with it, then exception and lane alone, twice.
    for _ in 0..3 {
        let messages = loop_claim(&group).await;
        assert_eq!(messages.len(), 2);
        for zombie in &zombies {
            assert_stale(&db, &group, zombie).await;
        }
        zombies.extend(messages);
        db.lose_leases().await;
        for zombie in &zombies {
            assert_stale(&db, &group, zombie).await;
        }
        db.check().await;
    }
}

/// All that can be had, messages that are handed out alone included.
async fn loop_claim(group: &Group) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let messages = group.claim().await;
        if messages.is_empty() {
            return all;
        }
        all.extend(messages);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_event_waits_keyed_or_not() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let later = Publish::new("n").delayed(3600.0).send(&db.pool).await;
    let key_later = Publish::keyed("k").delayed(3600.0).send(&db.pool).await;
    let key_behind = Publish::keyed("k").send(&db.pool).await;
    let now = Publish::new("n").send(&db.pool).await;
    let other_key = Publish::keyed("l").send(&db.pool).await;
    let other_later = Publish::keyed("l").delayed(3600.0).send(&db.pool).await;

    let messages = group.claim().await;
    assert_eq!(offsets(&messages), [now, other_key]);
    group.done(&messages).await;
    assert!(group.claim().await.is_empty());
    db.check().await;
    for offset in [later, key_later, key_behind, other_later] {
        assert_eq!(group.status(offset).await, state("ready", 0), "{offset}");
    }
    db.all_due().await;
    let messages = group.claim().await;
    assert!(messages.iter().all(|m| m.attempt == 1));
    let mut due = offsets(&messages);
    due.sort_unstable();
    assert_eq!(due, [later, key_later, key_behind, other_later]);
    group.done(&messages).await;
    db.check().await;
}

/// From a row of its own as well as from its claim.
#[tokio::test]
async fn a_retry_that_is_put_off_has_spent_no_attempt() {
    for outcome in ["snooze", "release"] {
        let db = TestDb::new().await;
        let group = db.group("g").await;
        let offset = publish(&db, 1).await[0];
        let message = group.claim_one().await;
        let retry = Settlement::closing(std::slice::from_ref(&message));
        group
            .settle(&retry.item_after(&message, "retry", Some(0.0)))
            .await;
        for _ in 0..2 {
            let message = group.claim_one().await;
            assert_eq!(message.attempt, 2);
            let put_off = Settlement::default().item_after(&message, outcome, Some(0.0));
            group.settle(&put_off).await;
            assert_eq!(group.status(offset).await, state("ready", 1));
        }
    }
}

/// What the caller wrote before, a publish above all, is as durable as ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_has_written_commits_as_its_owner_wants() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    for written in [false, true] {
        Publish::new("n").send(&db.pool).await;
        let message = group.claim_one().await;
        let mut open = db.pool.begin().await.unwrap();
        if written {
            Publish::new("written.first").send(&mut *open).await;
        }
        Settlement::closing(std::slice::from_ref(&message))
            .send(group.id, &mut *open)
            .await
            .unwrap();
        let commits: String = sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
            .fetch_one(&mut *open)
            .await
            .unwrap();
        assert_eq!(commits, if written { "on" } else { "off" });
        open.commit().await.unwrap();
        group.done(&group.claim().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_of_ages_is_refused() {
    let db = TestDb::new().await;
    let code = db
        .code("SELECT vulkan.settle(1, '{}', '{}', '{1}', '{1}', '{NULL}', '{snooze}', '{1001 years}', '{NULL}')")
        .await;
    assert_eq!(code, "VK003");
}
