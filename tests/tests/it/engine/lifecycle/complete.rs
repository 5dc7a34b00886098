use sqlx::PgExecutor;

use crate::support::{Group, Message, Publish, Settlement, TestDb, within};

/// Marks messages done; the error is an SQLSTATE.
async fn complete_many(
    group: &Group,
    executor: impl PgExecutor<'_>,
    messages: &[Message],
) -> Result<(), String> {
    let done = sqlx::query("SELECT vulkan.complete_many($1, $2, $3, $4)")
        .bind(group.id)
        .bind(messages.iter().map(|m| m.offset).collect::<Vec<_>>())
        .bind(messages.iter().map(|m| m.token).collect::<Vec<_>>())
        .bind(messages.iter().map(|m| m.lane).collect::<Vec<_>>())
        .execute(executor)
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(error) => Err(error.as_database_error().unwrap().code().unwrap().into()),
    }
}

/// Some messages in every state that one can be held in: a retry, a first attempt in an open claim, one that
/// outlived its claim, one that begins a run, and a later attempt in a run.
async fn held_in_every_way(db: &TestDb, group: &Group) -> Vec<Message> {
    for publish in [Publish::new("retry"), Publish::keyed("again")] {
        publish.send(&db.pool).await;
        let message = group.claim_one().await;
        group.settle_one(&message, "retry").await;
    }
    db.all_due().await;
    let mut held = group.claim().await;
    assert_eq!(held.len(), 2);
    Publish::new("long").send(&db.pool).await;
    let long = group.claim_one().await;
    group.settle_one(&long, "running").await;
    held.push(long);
    Publish::keyed("new").send(&db.pool).await;
    Publish::new("first").send(&db.pool).await;
    held.extend(group.claim().await);
    assert_eq!(held.len(), 5);
    held
}

#[tokio::test]
async fn all_are_done_whatever_state_they_are_held_in() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let held = held_in_every_way(&db, &group).await;
    let mut tx = db.pool.begin().await.unwrap();
    complete_many(&group, &mut *tx, &held).await.unwrap();
    assert_eq!(group.status(held[0].offset).await.unwrap().0, "processing");
    tx.commit().await.unwrap();
    // What their worker says of them after that changes nothing.
    let settlement = held
        .iter()
        .fold(Settlement::closing(&held), |all, message| {
            match message.lane {
                Some(_) => all.item(message, "done"),
                None => all.item(message, "retry"),
            }
        });
    group.settle(&settlement).await;
    for (message, attempts) in held.iter().zip([2, 2, 1, 1, 1]) {
        let stand = group.status(message.offset).await.unwrap();
        assert_eq!(stand, ("done".into(), attempts), "{message:?}");
    }
    assert!(group.claim().await.is_empty());
    db.check().await;
}

#[tokio::test]
async fn with_one_lost_none_is_done() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let held = held_in_every_way(&db, &group).await;
    for nth in 0..held.len() {
        let mut stale = held.clone();
        stale[nth].token += 1_000_000;
        let refused = complete_many(&group, &db.pool, &stale).await;
        assert_eq!(refused, Err("VK007".into()), "{:?}", held[nth]);
    }
    for message in &held {
        assert_eq!(group.status(message.offset).await.unwrap().0, "processing");
    }
    // As when one of them was skipped.
    db.run("SELECT vulkan.skip('orders', 'g', (SELECT max(\"offset\") FROM vulkan.events))")
        .await;
    let refused = complete_many(&group, &db.pool, &held).await;
    assert_eq!(refused, Err("VK007".into()));
    complete_many(&group, &db.pool, &held[..4]).await.unwrap();
    // And not a second time.
    let refused = complete_many(&group, &db.pool, &held[..4]).await;
    assert_eq!(refused, Err("VK007".into()));
}

#[tokio::test]
async fn arrays_that_differ_in_length_are_refused() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    for (tokens, lanes) in [(vec![1_i64], vec![]), (vec![1, 2], vec![Some(1_i64)])] {
        let error = sqlx::query("SELECT vulkan.complete_many($1, $2, $3, $4)")
            .bind(group.id)
            .bind(vec![1_i64, 2])
            .bind(tokens)
            .bind(lanes)
            .execute(&db.pool)
            .await
            .unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "VK003");
    }
    complete_many(&group, &db.pool, &[]).await.unwrap();
}

/// A worker settles its claim, the messages still running, while their handler's transaction marks them done: in whatever
/// order each names them, one waits for the other, and both go through.
#[tokio::test]
async fn marking_done_and_settling_meet_without_a_deadlock() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    for round in 0..6 {
        for _ in 0..200 {
            Publish::new("n").send(&db.pool).await;
        }
        let mut held = group.claim_as("worker", 200).await;
        assert_eq!(held.len(), 200);
        let running = |order: &[Message]| {
            let all = Settlement::closing(order);
            order
                .iter()
                .fold(all, |all, message| all.item(message, "running"))
        };
        let backwards: Vec<_> = held.iter().rev().cloned().collect();
        let settlement = running(&backwards);
        if round % 2 == 1 {
            held.reverse();
        }
        let (marked, settled) = within("both", async {
            tokio::join!(
                complete_many(&group, &db.pool, &held),
                settlement.send(group.id, &db.pool),
            )
        })
        .await;
        marked.unwrap();
        settled.unwrap();
        for message in &held {
            assert_eq!(group.status(message.offset).await.unwrap().0, "done");
        }
    }
    db.check().await;
}

/// Its worker cannot know yet: what it asks for and reports meanwhile tells of no lost lease.
#[tokio::test]
async fn who_completed_a_message_has_not_lost_it() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let held = held_in_every_way(&db, &group).await;
    complete_many(&group, &db.pool, &held).await.unwrap();
    let unkeyed: Vec<&Message> = held.iter().filter(|one| one.lane.is_none()).collect();
    let lost: Vec<i64> = sqlx::query_scalar(
        "SELECT event_offset FROM vulkan.extend(array_fill($1::integer, ARRAY[cardinality($2::bigint[])]), $2, $3,
             array_fill(NULL::bigint, ARRAY[cardinality($2::bigint[])]))",
    )
    .bind(group.id)
    .bind(unkeyed.iter().map(|one| one.offset).collect::<Vec<_>>())
    .bind(unkeyed.iter().map(|one| one.token).collect::<Vec<_>>())
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert_eq!(lost, [0_i64; 0]);
    // Of all but the one whose claim is closed already.
    let settlement = unkeyed.iter().fold(Settlement::default(), |all, message| {
        all.item(message, "running")
    });
    let verdicts = group.settle(&settlement).await;
    assert!(
        verdicts.iter().all(|verdict| verdict.verdict != "stale"),
        "{verdicts:?}"
    );
    let first: Vec<Message> = held
        .iter()
        .filter(|one| one.claim_hi.is_some() && one.lane.is_none())
        .cloned()
        .collect();
    let open = first.last().unwrap();
    assert_eq!(group.settle_one(open, "running").await, []);
    for message in unkeyed {
        assert_eq!(group.status(message.offset).await.unwrap().0, "done");
    }
    db.check().await;
}

/// In a row of its own, which somebody else has by now.
#[tokio::test]
async fn who_lost_a_retry_does_not_complete_it() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let message = group.claim_one().await;
    group.settle_one(&message, "running").await;
    db.lose_leases().await;
    let other = group.claim_one().await;
    let complete = "SELECT vulkan.complete($1, $2, $3)";
    let late = sqlx::query(complete)
        .bind(group.id)
        .bind(offset)
        .bind(message.token)
        .execute(&db.pool)
        .await
        .unwrap_err();
    assert_eq!(late.as_database_error().unwrap().code().unwrap(), "VK007");
    sqlx::query(complete)
        .bind(group.id)
        .bind(offset)
        .bind(other.token)
        .execute(&db.pool)
        .await
        .unwrap();
    assert_eq!(group.status(offset).await, Some(("done".into(), 2)));
}

/// Somebody else has the very same range, or lane, by now, under a lease of theirs.
#[tokio::test]
async fn who_had_it_before_a_rewind_does_not_complete_it() {
    for keyed in [false, true] {
        let db = TestDb::new().await;
        let group = db.group("g").await;
        let event = Publish::new("n");
        let event = if keyed { event.key("k") } else { event };
        let offset = event.send(&db.pool).await;
        let zombie = group.claim_one().await;
        db.run("SELECT vulkan.replay('orders', 'g', to_position => 'earliest')")
            .await;
        let holder = group.claim_one().await;
        let complete = async |message: &Message| {
            sqlx::query("SELECT vulkan.complete($1, $2, $3, $4)")
                .bind(group.id)
                .bind(offset)
                .bind(message.token)
                .bind(message.lane)
                .execute(&db.pool)
                .await
        };
        let late = complete(&zombie).await.unwrap_err();
        assert_eq!(late.as_database_error().unwrap().code().unwrap(), "VK007");
        assert_eq!(
            group.status(offset).await,
            Some(("processing".into(), 1)),
            "keyed: {keyed}"
        );
        complete(&holder).await.unwrap();
        assert_eq!(group.status(offset).await, Some(("done".into(), 1)));
    }
}
