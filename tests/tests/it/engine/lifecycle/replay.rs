use crate::support::{Group, Message, Publish, Settlement, TestDb, offsets};

/// What replay() answers.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Replayed {
    cursor_was: i64,
    cursor_is: i64,
    again: i64,
    passed_over: i64,
    fenced: i64,
    forgotten: i64,
}

/// Replays `audit` after a dry run, which must change nothing and say the same.
async fn replay(db: &TestDb, group: &Group, position: &str) -> Replayed {
    let mut answers = Vec::new();
    let before = group.cursor().await;
    for dry_run in [true, false] {
        assert_eq!(group.cursor().await, before);
        let sql = format!(
            "SELECT * FROM vulkan.replay('orders', 'audit', {position}, dry_run => {dry_run})"
        );
        let answer: Replayed = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_one(&db.pool)
            .await
            .unwrap_or_else(|error| panic!("{position}: {error}"));
        answers.push(answer);
        db.check().await;
    }
    let answer = answers.pop().unwrap();
    assert_eq!(answers, [Replayed { ..answer }]);
    assert_eq!(group.cursor().await, answer.cursor_is);
    answer
}

async fn publish(db: &TestDb, many: usize) -> Vec<i64> {
    let mut sent = Vec::new();
    for _ in 0..many {
        sent.push(Publish::new("n").send(&db.pool).await);
    }
    sent
}

async fn all_done(group: &Group, sent: &[i64]) {
    let messages = group.claim().await;
    assert_eq!(offsets(&messages), sent);
    group.done(&messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_position_is_found() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let sent = publish(&db, 6).await;
    all_done(&group, &sent).await;
    db.run(
        "UPDATE vulkan.events SET created_at = '2020-01-01'::timestamptz + \"offset\" * interval '1 day';
         UPDATE vulkan.slots SET started_at = '2020-01-01'",
    )
    .await;
    let other = db.group("other").await;
    let messages = other.claim_as("w", 2).await;
    other.done(&messages).await;
    let top: i64 = db.value("SELECT vulkan.lso('orders')").await;
    for (position, cursor, again) in [
        ("to_position => 'earliest'", 0, 6),
        ("to_offset => 3", 3, 3),
        ("to_time => '2020-01-05'", 3, 3),
        ("to_time => '2020-01-04 12:00'", 3, 3),
        ("to_time => '1999-01-01'", 0, 6),
        ("to_group => 'other'", 2, 4),
        ("to_offset => 5", 5, 1),
    ] {
        let was = group.cursor().await;
        let answer = replay(&db, &group, position).await;
        assert_eq!(
            (answer.cursor_was, answer.cursor_is),
            (was, cursor),
            "{position}"
        );
        assert_eq!(answer.again, again, "{position}");
        all_done(&group, &sent[cursor as usize..]).await;
    }
    for (position, cursor) in [
        ("to_position => 'latest'", top),
        ("to_time => '2999-01-01'", top),
    ] {
        replay(&db, &group, "to_offset => 4").await;
        let answer = replay(&db, &group, position).await;
        assert_eq!(
            (answer.cursor_is, answer.passed_over),
            (cursor, 2),
            "{position}"
        );
        assert!(group.claim().await.is_empty());
        assert_eq!(
            group.status(sent[5]).await,
            None,
            "passed over is no message"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_fences_what_is_in_flight_above_it() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let sent = publish(&db, 6).await;
    let key = Publish::keyed("k").send(&db.pool).await;
    let messages = group.claim().await;
    assert_eq!(messages.len(), 7);
    // In the middle of the claim: its lower half goes on, without an attempt lost.
    let answer = replay(&db, &group, "to_offset => 3").await;
    assert_eq!((answer.again, answer.fenced, answer.forgotten), (4, 4, 0));
    for message in &messages {
        let verdicts = group.settle_one(message, "retry").await;
        assert!(verdicts.iter().all(|v| v.verdict == "stale") && !verdicts.is_empty());
    }
    for offset in sent.iter().chain([&key]) {
        assert_eq!(group.status(*offset).await, Some(("ready".into(), 0)));
    }
    let again = drain(&group).await;
    assert_eq!(again.len(), 7);
    assert!(again.iter().all(|message| message.attempt == 1));
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_forgets_retries_and_dead_letters_above_it() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for (event, outcome) in [
        (Publish::new("n"), "retry"),
        (Publish::new("n"), "dead"),
        (Publish::keyed("a"), "retry"),
        (Publish::keyed("b"), "dead"),
    ] {
        event.send(&db.pool).await;
        let message = group.claim_one().await;
        group.settle_one(&message, outcome).await;
    }
    let kept = group.status(1).await;
    let answer = replay(&db, &group, "to_offset => 1").await;
    assert_eq!((answer.again, answer.forgotten), (3, 3));
    assert_eq!(group.status(1).await, kept);
    db.all_due().await;
    let again = drain(&group).await;
    let mut attempts: Vec<_> = again.iter().map(|m| (m.offset, m.attempt)).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [(1, 2), (2, 1), (3, 1), (4, 1)]);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_the_waiting_is_passed_over_and_retries_stay() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let retry = Publish::keyed("k").send(&db.pool).await;
    let message = group.claim_one().await;
    group.settle_one(&message, "retry").await;
    Publish::keyed("k").send(&db.pool).await;
    assert!(group.claim().await.is_empty(), "it waits behind its key");
    Publish::new("n").send(&db.pool).await;
    let answer = replay(&db, &group, "to_position => 'latest'").await;
    assert_eq!(answer.again, 0);
    assert!(answer.passed_over >= 2, "{answer:?}");
    db.all_due().await;
    let left = drain(&group).await;
    assert_eq!(offsets(&left), [retry]);
    assert_eq!(left[0].attempt, 2);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_forth_ends_where_it_should() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for nth in 0..12 {
        let event = Publish::new("n");
        let event = if nth % 2 == 0 { event.key("k") } else { event };
        event.send(&db.pool).await;
    }
    for position in [4, 9, 2, 12, 0, 7, 7, 1] {
        let held = group.claim_as("w", 3).await;
        replay(&db, &group, &format!("to_offset => {position}")).await;
        for message in held.iter().filter(|m| m.lane.is_some()) {
            assert_eq!(group.settle_one(message, "done").await[0].verdict, "stale");
        }
        db.lose_leases().await;
        db.check().await;
    }
    replay(&db, &group, "to_position => 'earliest'").await;
    let mut all = offsets(&drain(&group).await);
    all.sort_unstable();
    assert_eq!(all, (1..=12).collect::<Vec<i64>>());
    db.check().await;
}

/// Settles everything as done until nothing is left.
async fn drain(group: &Group) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let messages = group.claim().await;
        if messages.is_empty() {
            return all;
        }
        group.done(&messages).await;
        all.extend(messages);
    }
}

/// The range is claimed again by another worker, and only the token tells the two claims apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_from_before_a_rewind_cannot_close_the_same_range() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let sent = publish(&db, 3).await;
    let zombies = group.claim().await;
    replay(&db, &group, "to_position => 'earliest'").await;
    let messages = group.claim().await;
    assert_eq!(messages[0].claim_hi, zombies[0].claim_hi);
    let verdicts = group.settle(&Settlement::closing(&zombies)).await;
    assert_eq!(verdicts[0].verdict, "stale");
    for offset in sent {
        assert_eq!(group.status(offset).await, Some(("processing".into(), 1)));
    }
    group.done(&messages).await;
}

/// What waits behind a busy key goes on waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_to_where_the_group_stands_changes_nothing() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    Publish::keyed("k").send(&db.pool).await;
    let busy = group.claim_one().await;
    let behind = Publish::keyed("k").send(&db.pool).await;
    assert!(group.claim().await.is_empty());
    let answer = replay(&db, &group, "to_position => 'latest'").await;
    assert_eq!((answer.again, answer.passed_over), (0, 0));
    group.done(&[busy]).await;
    assert_eq!(group.claim_one().await.offset, behind);
}

/// A handler that completes its message while the group is set back: the replay waits for it, and the
/// message comes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_outlasts_a_completion_under_way() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let token = group.claim_one().await.token;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.complete($1, $2, $3)")
        .bind(group.id)
        .bind(offset)
        .bind(token)
        .execute(&mut *open)
        .await
        .unwrap();
    let rewind = "SELECT vulkan.replay('orders', 'audit', to_position => 'earliest')";
    tokio::join!(db.run(rewind), async {
        db.until_blocked().await;
        open.commit().await.unwrap();
    });
    assert_eq!(offsets(&group.claim().await), [offset]);
    db.check().await;
}
