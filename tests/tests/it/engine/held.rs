use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use crate::support::{Group, Message, Publish, Settlement, TestDb, offsets};

/// Another session that keeps every version of every row from being cleaned away.
async fn hold(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut held = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    sqlx::query("SELECT count(*) FROM pg_class")
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

/// Publishes a message of a key, has it handled, and counts the entries of the index that the look-ups of the key read.
async fn come_and_go(group: &Group) -> i64 {
    Publish::keyed("k").send(&group.pool).await;
    let mut tx = group.pool.begin().await.unwrap();
    let before = entries_read(&mut tx).await;
    let messages: Vec<Message> = sqlx::query_as("SELECT * FROM vulkan.claim($1, 'worker')")
        .bind(group.id)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert_eq!(messages.len(), 1);
    Settlement::closing(&messages)
        .item(&messages[0], "done")
        .send(group.id, &mut *tx)
        .await
        .unwrap();
    let read = entries_read(&mut tx).await - before;
    tx.commit().await.unwrap();
    read
}

/// By this session, since it last told the server.
async fn entries_read(session: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT pg_stat_get_xact_tuples_returned('vulkan.keys_pkey'::regclass)")
        .fetch_one(session)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_key_that_comes_again_and_again_costs_the_same_while_a_snapshot_is_held() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let held = hold(&db.pool).await;
    // One row of sixteen is kept: not one of three hundred, once in two hundred million runs.
    for _ in 0..300 {
        come_and_go(&group).await;
    }
    let read = come_and_go(&group).await;
    assert!(
        read < 20,
        "{read} entries read after 300 messages of the key"
    );
    held.commit().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn rows_of_drained_keys_are_forgotten_and_lanes_are_not() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    db.run(
        "SELECT vulkan.publish_many('orders', array_fill('n'::text, ARRAY[400]), array_fill('1'::jsonb, ARRAY[400]),
             ARRAY(SELECT 'k' || n FROM generate_series(1, 400) n))",
    )
    .await;
    let messages = group.claim_as("worker", 400).await;
    let (failed, rest) = messages.split_first().unwrap();
    let mut settlement = Settlement::closing(&messages).item_after(failed, "retry", Some(0.0));
    for message in rest {
        settlement = settlement.item(message, "done");
    }
    group.settle(&settlement).await;
    let kept = "SELECT count(*) FROM vulkan.keys WHERE status = 'drained'";
    assert!(
        db.value::<i64>(kept).await > 0,
        "one of sixteen of 399 is kept"
    );
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.lanes").await,
        1
    );
    db.value::<i32>("SELECT vulkan.forget_keys()").await;
    assert!(
        db.value::<i64>(kept).await > 0,
        "not before ten seconds are over"
    );
    db.run("UPDATE vulkan.keys SET run_at = run_at - interval '11 seconds'")
        .await;
    db.value::<i32>("SELECT vulkan.forget_keys()").await;
    assert_eq!(db.value::<i64>(kept).await, 0);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.lanes").await,
        1
    );
    db.check().await;
}

/// What a mark hides is found when the mark is over, and so is what one hides that the clock has not come to again.
#[tokio::test]
async fn what_became_ready_below_a_mark_is_found_after_it() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let messages = group.claim().await;
    let settlement = Settlement::closing(&messages).item_after(&messages[0], "retry", Some(0.0));
    group.settle(&settlement).await;
    let mark = async |marked: &str, valid: &str| {
        // On a busy machine a claim may have left one of its own.
        db.run("DELETE FROM vulkan.ready_marks").await;
        sqlx::query(
            "INSERT INTO vulkan.ready_marks
             SELECT $1, now() + $2::interval, m.n, m.n, now() + $3::interval FROM (SELECT now() + interval '1 hour') m(n)",
        )
        .bind(group.id)
        .bind(marked)
        .bind(valid)
        .execute(&db.pool)
        .await
        .unwrap();
    };
    let due = "SELECT due FROM vulkan.look(ARRAY[(SELECT group_id FROM vulkan.groups)])";
    mark("-3 seconds", "1 minute").await;
    assert!(group.claim().await.is_empty());
    assert!(!db.value::<bool>(due).await);
    mark("-2 seconds", "-1 second").await;
    assert!(db.value::<bool>(due).await);
    mark("1 hour", "2 hours").await;
    assert!(db.value::<bool>(due).await);
    assert_eq!(offsets(&group.claim().await), [offset]);
    db.check().await;
}

#[tokio::test]
async fn a_mark_stands_at_the_oldest_that_is_ready() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for publish in [Publish::new("n"), Publish::keyed("k")] {
        publish.send(&db.pool).await;
    }
    let messages = group.claim().await;
    let mut settlement = Settlement::closing(&messages);
    for message in &messages {
        settlement = settlement.item_after(message, "retry", Some(0.0));
    }
    group.settle(&settlement).await;
    db.run("UPDATE vulkan.exceptions SET run_at = run_at - interval '7 hours' WHERE lane IS NULL")
        .await;
    db.run("UPDATE vulkan.keys SET run_at = run_at - interval '5 hours'")
        .await;
    db.run("DELETE FROM vulkan.ready_marks").await;
    // However quick it is: `worth` is zero.
    db.run("SELECT vulkan.mark_ready(g, interval '0') FROM vulkan.groups g")
        .await;
    let stands: bool = db
        .value(
            "SELECT m.exceptions_from = (SELECT run_at FROM vulkan.exceptions WHERE lane IS NULL)
                 AND m.lanes_from = (SELECT run_at FROM vulkan.lanes) FROM vulkan.ready_marks m",
        )
        .await;
    assert!(stands);
    assert_eq!(group.claim().await.len(), 2);
}

/// Leaves a mark that holds for an hour.
async fn mark(db: &TestDb) {
    // On a busy machine a claim may have left one of its own.
    db.run("DELETE FROM vulkan.ready_marks").await;
    db.run("SELECT vulkan.mark_ready(g, worth => interval '0') FROM vulkan.groups g")
        .await;
    db.run("UPDATE vulkan.ready_marks SET valid_until = valid_until + interval '1 hour'")
        .await;
}

/// A transaction that made them ready may have begun before the mark, and have ended after it.
#[tokio::test]
async fn what_became_ready_within_a_second_before_a_mark_is_found() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for publish in [Publish::new("n"), Publish::keyed("k")] {
        publish.send(&db.pool).await;
    }
    let messages = group.claim().await;
    mark(&db).await;
    let mut settlement = Settlement::closing(&messages);
    for message in &messages {
        settlement = settlement.item_after(message, "retry", Some(0.0));
    }
    group.settle(&settlement).await;
    let before_the_mark = async |by: &str| {
        for table in ["exceptions", "keys"] {
            sqlx::query(AssertSqlSafe(format!(
                "UPDATE vulkan.{table} SET run_at = (SELECT marked_at FROM vulkan.ready_marks) - interval '{by}'"
            )))
            .execute(&db.pool)
            .await
            .unwrap();
        }
    };
    before_the_mark("1.1 seconds").await;
    assert!(
        group.claim().await.is_empty(),
        "a mark hides what was before it"
    );
    before_the_mark("0.9 seconds").await;
    assert_eq!(group.claim().await.len(), 2);
    db.check().await;
}

/// It is ready since it was due, and that was long before it had room.
#[tokio::test]
async fn what_was_parked_when_a_mark_was_made_is_found() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    db.run("SELECT vulkan.set_limits('orders', 'audit', max_in_flight_per_prefix => 1)")
        .await;
    for key in ["t:1", "t:2"] {
        Publish::keyed(key).send(&db.pool).await;
    }
    let first = group.claim().await;
    assert_eq!(first.len(), 1);
    assert!(group.claim().await.is_empty());
    db.run("UPDATE vulkan.keys SET run_at = run_at - interval '1 hour' WHERE status = 'parked'")
        .await;
    mark(&db).await;
    group.done(&first).await;
    assert_eq!(group.claim().await.len(), 1);
    db.check().await;
}

/// The next message of a key was due long before its turn came.
#[tokio::test]
async fn a_lane_that_goes_on_is_found_below_no_mark() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    Publish::keyed("k").send(&db.pool).await;
    let next = Publish::keyed("k").delayed(-3600.0).send(&db.pool).await;
    let first = group.claim_as("worker", 1).await;
    assert!(group.claim().await.is_empty());
    mark(&db).await;
    group.done(&first).await;
    assert_eq!(offsets(&group.claim().await), [next]);
    db.check().await;
}

/// What came back from a lost lease is looked for by itself, and a mark knows of it.
#[tokio::test]
async fn a_mark_stands_at_the_oldest_suspect() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for publish in [Publish::new("n"), Publish::keyed("k")] {
        publish.send(&db.pool).await;
    }
    assert_eq!(group.claim().await.len(), 2);
    db.lose_leases().await;
    db.run("UPDATE vulkan.exceptions SET run_at = run_at - interval '1 hour'")
        .await;
    db.run("UPDATE vulkan.keys SET run_at = run_at - interval '1 hour'")
        .await;
    mark(&db).await;
    // One at a time.
    assert_eq!(group.claim().await.len(), 1);
    assert_eq!(group.claim().await.len(), 1);
    db.check().await;
}
