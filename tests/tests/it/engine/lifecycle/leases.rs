use sqlx::PgExecutor;

use crate::support::{Message, Publish, Settlement, TestDb, offsets, within};

async fn extend(db: &TestDb, group: i32, messages: &[Message]) -> Vec<i64> {
    extend_on(&db.pool, group, messages).await
}

async fn extend_on(executor: impl PgExecutor<'_>, group: i32, messages: &[Message]) -> Vec<i64> {
    let (mut groups, mut offsets, mut tokens, mut lanes) = (vec![], vec![], vec![], vec![]);
    for message in messages {
        groups.push(group);
        offsets.push(message.offset);
        tokens.push(message.token);
        lanes.push(message.lane);
    }
    sqlx::query_scalar("SELECT event_offset FROM vulkan.extend($1, $2, $3, $4) ORDER BY 1")
        .bind(groups)
        .bind(offsets)
        .bind(tokens)
        .bind(lanes)
        .fetch_all(executor)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extended_lease_is_not_reaped_and_a_lost_one_is_named() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    Publish::new("n").send(&db.pool).await;
    let in_claim = group.claim_one().await;
    Publish::new("n").send(&db.pool).await;
    let first = group.claim_one().await;
    group.settle_one(&first, "running").await;
    let running = Message {
        claim_hi: None,
        ..first
    };
    Publish::keyed("k").send(&db.pool).await;
    let keyed = group.claim_one().await;
    let all = [in_claim, running, keyed];

    db.expire_leases().await;
    assert!(extend(&db, group.id, &all).await.is_empty());
    db.run("SELECT vulkan.reap()").await;
    let processing: i64 = db
        .value("SELECT count(*) FROM vulkan.deliveries WHERE status = 'processing'")
        .await;
    assert_eq!(processing, 3);

    db.lose_leases().await;
    assert_eq!(extend(&db, group.id, &all).await, offsets(&all));
    db.check().await;
}

/// A settlement that meets an extension of the same lease waits for it, and is not lost to it.
#[tokio::test(flavor = "multi_thread")]
async fn an_extension_in_flight_loses_no_settlement() {
    for place in ["claim", "own row", "lane"] {
        let db = TestDb::new().await;
        let group = db.group("audit").await;
        let offset = match place {
            "lane" => Publish::keyed("k").send(&db.pool).await,
            _ => Publish::new("n").send(&db.pool).await,
        };
        let mut message = group.claim_one().await;
        match place {
            "own row" => {
                group.settle_one(&message, "running").await;
                message.claim_hi = None;
            }
            "lane" => {
                group
                    .settle(&Settlement::closing(std::slice::from_ref(&message)))
                    .await;
                message.claim_hi = None;
            }
            _ => {}
        }
        let mut open = db.pool.begin().await.unwrap();
        let held = std::slice::from_ref(&message);
        assert!(extend_on(&mut *open, group.id, held).await.is_empty());
        let settle = tokio::spawn({
            let (group, message) = (group.clone(), message.clone());
            async move { group.done(&[message]).await }
        });
        db.until_blocked().await;
        open.commit().await.unwrap();
        settle.await.unwrap();
        let status = group.status(offset).await;
        assert_eq!(status, Some(("done".into(), 1)), "{place}");
        let leased: i64 = db
            .value(
                "SELECT (SELECT count(*) FROM vulkan.claims WHERE lease_until IS NOT NULL)
                 + (SELECT count(*) FROM vulkan.lanes)",
            )
            .await;
        assert_eq!(leased, 0, "{place}");
        db.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_counts_the_attempt_and_says_whose_it_was() {
    for keyed in [false, true] {
        let db = TestDb::new().await;
        let group = db.group("audit").await.with("max_attempts = 2").await;
        let sent = Publish::new("n");
        let sent = if keyed { sent.key("k") } else { sent };
        let offset = sent.send(&db.pool).await;
        for (attempt, status) in [(1, "ready"), (2, "dead")] {
            assert_eq!(group.claim_as("alice", 10).await[0].attempt, attempt);
            db.lose_leases().await;
            let expected = Some((status.to_owned(), attempt));
            assert_eq!(group.status(offset).await, expected);
            db.check().await;
        }
        let error: String = db.value("SELECT last_error FROM vulkan.exceptions").await;
        assert_eq!(error, r#"the lease of worker "alice" expired"#);
    }
}

/// A message that kills its process reaches dead; what was claimed with it ends done, however few attempts it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_killer_does_not_drag_its_mates_down() {
    for (keyed, most) in [
        (false, "max_attempts = 3"),
        (true, "max_attempts = 3"),
        (false, "max_attempts = 1"),
        (true, "max_attempts = 1"),
    ] {
        let db = TestDb::new().await;
        let group = db.group("audit").await.with(most).await;
        let mut sent = Vec::new();
        for _ in 0..6 {
            let event = Publish::new("n");
            let event = if keyed { event.key("k") } else { event };
            sent.push(event.send(&db.pool).await);
        }
        let killer = sent[2];
        let mut rounds = 0;
        loop {
            let messages = group.claim().await;
            if messages.is_empty() {
                break;
            }
            rounds += 1;
            assert!(rounds < 40, "no end to it");
            assert!(rounds == 1 || !messages.iter().any(|m| m.solo) || messages.len() == 1);
            match messages.iter().any(|message| message.offset == killer) {
                true => db.lose_leases().await,
                false => group.done(&messages).await,
            }
            db.check().await;
        }
        for offset in sent {
            let expected = if offset == killer { "dead" } else { "done" };
            assert_eq!(group.status(offset).await.unwrap().0, expected, "{offset}");
        }
    }
}

/// At its last attempt beside a killer: it may have been either.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_attempt_that_was_lost_among_others_is_made_alone() {
    for redriven in [false, true] {
        let db = TestDb::new().await;
        let group = db.group("audit").await.with("max_attempts = 2").await;
        let unkeyed = Publish::new("n").send(&db.pool).await;
        let keyed = Publish::keyed("k").send(&db.pool).await;
        let fail = async |outcome: &str| {
            for message in group.claim().await {
                group.settle_one(&message, outcome).await;
                db.run("UPDATE vulkan.exceptions SET run_at = now(); UPDATE vulkan.keys SET run_at = now() WHERE status = 'ready'")
                    .await;
            }
        };
        if redriven {
            fail("dead").await;
            db.run("SELECT vulkan.redrive('orders', 'audit')").await;
        }
        fail("retry").await;
        let last = group.claim().await;
        assert!(last.iter().all(|m| m.attempt == 2 && !m.solo), "{last:?}");
        assert_eq!(offsets(&last), [unkeyed, keyed]);
        db.lose_leases().await;
        for offset in [unkeyed, keyed] {
            assert_eq!(group.status(offset).await, Some(("ready".into(), 1)));
        }
        db.check().await;
        for _ in 0..2 {
            let alone = group.claim_one().await;
            assert!(alone.solo && alone.attempt == 2, "{alone:?}");
            db.lose_leases().await;
            assert_eq!(group.status(alone.offset).await, Some(("dead".into(), 2)));
            db.check().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_one_message_of_a_lost_lease_is_handed_out_at_a_time() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for _ in 0..3 {
        Publish::new("n").send(&db.pool).await;
        Publish::keyed("k").send(&db.pool).await;
        Publish::keyed("l").send(&db.pool).await;
    }
    group.claim().await;
    db.lose_leases().await;
    let fresh = Publish::new("n").send(&db.pool).await;
    let messages = group.claim().await;
    assert_eq!(
        messages.iter().filter(|m| m.solo).count(),
        1,
        "{messages:?}"
    );
    assert!(offsets(&messages).contains(&fresh));

    let without: Vec<Message> =
        sqlx::query_as("SELECT * FROM vulkan.claim($1, 'w', take_solo => false)")
            .bind(group.id)
            .fetch_all(&db.pool)
            .await
            .unwrap();
    assert!(without.is_empty(), "{without:?}");
}

/// Adds a table constraint that one message's reaping violates.
async fn make_bad(db: &TestDb, offset: i64) {
    let sql = format!(
        "ALTER TABLE vulkan.exceptions ADD CONSTRAINT bad
         CHECK (\"offset\" <> {offset} OR last_error IS NULL)"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&db.pool)
        .await
        .unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Held {
    InClaim,
    Alone,
    InLane,
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_does_not_wedge_the_reaper() {
    for held in [Held::InClaim, Held::Alone, Held::InLane] {
        let db = TestDb::new().await;
        let group = db.group("audit").await;
        let mut sent = Vec::new();
        for nth in 0..9 {
            let event = match held {
                Held::InLane => Publish::keyed(&format!("k{nth}")),
                _ => Publish::new("n"),
            };
            sent.push(event.send(&db.pool).await);
        }
        let messages = group.claim().await;
        if let Held::Alone = held {
            let running = messages
                .iter()
                .fold(Settlement::closing(&messages), |all, m| {
                    all.item(m, "running")
                });
            assert_eq!(group.settle(&running).await.len(), 9);
        }
        make_bad(&db, sent[4]).await;
        let all_ready: Vec<i64> = sent.iter().copied().filter(|o| *o != sent[4]).collect();
        for _ in 0..2 {
            db.lose_leases().await;
            let mut rescued = Vec::new();
            for offset in &sent {
                if group.status(*offset).await.unwrap().0 == "ready" {
                    rescued.push(*offset);
                }
            }
            assert_eq!(rescued, all_ready, "{held:?}");
        }
        // Nobody may settle it meanwhile, and it comes back once it can.
        db.run("ALTER TABLE vulkan.exceptions DROP CONSTRAINT bad")
            .await;
        db.lose_leases().await;
        assert_eq!(
            group.status(sent[4]).await,
            Some(("ready".into(), 1)),
            "{held:?}"
        );
        db.check().await;
    }
}

/// A handler's transaction that completed its message and does not end keeps that message from being
/// reaped, not the reaper, nor the group's latch through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_does_not_end_holds_up_one_message() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let stuck = Publish::new("n").send(&db.pool).await;
    let other = Publish::new("n").send(&db.pool).await;
    let keyed = Publish::keyed("k").send(&db.pool).await;
    let token = group.claim().await[0].token;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.complete($1, $2, $3)")
        .bind(group.id)
        .bind(stuck)
        .bind(token)
        .execute(&mut *open)
        .await
        .unwrap();
    db.expire_leases().await;
    within("the reaper", db.run("SELECT vulkan.reap()")).await;
    for offset in [other, keyed] {
        assert_eq!(group.status(offset).await, Some(("ready".into(), 1)));
    }
    open.commit().await.unwrap();
    db.lose_leases().await;
    assert_eq!(group.status(stuck).await, Some(("done".into(), 1)));
    db.check().await;
}

/// A rewind has taken its claim away, and another has the same range by now.
#[tokio::test]
async fn a_zombie_extends_nobody_elses_lease() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let zombie = group.claim_one().await;
    db.run("SELECT vulkan.replay('orders', 'g', to_position => 'earliest')")
        .await;
    let other = group.claim_one().await;
    assert_eq!(other.claim_hi, zombie.claim_hi);
    db.expire_leases().await;
    assert_eq!(extend(&db, group.id, &[zombie]).await, [offset]);
    db.run("SELECT vulkan.reap()").await;
    assert_eq!(group.status(offset).await, Some(("ready".into(), 1)));
}
