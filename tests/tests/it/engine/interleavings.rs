//! What two or three sessions do to a group at once, step by step.

/// A message of a key that is completed while its run is ended.
mod completed;
/// The critical statements in every order.
mod enumerated;
/// Sessions stepped through every order of their statements.
mod schedule;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use vulkan_testing::until;

use crate::support::{Group, Message, Publish, Settlement, TestDb, offsets, within};

/// Runs a statement in a session of its own: it will have to wait.
async fn meanwhile(db: &TestDb, sql: &'static str) -> JoinHandle<sqlx::Result<()>> {
    let pool: PgPool = db.pool.clone();
    let running = tokio::spawn(async move { sqlx::raw_sql(sql).execute(&pool).await.map(drop) });
    db.until_blocked().await;
    running
}

/// What became of such a statement.
async fn ended(running: JoinHandle<sqlx::Result<()>>) -> sqlx::Result<()> {
    within("what had to wait", running).await.unwrap()
}

async fn complete(group: &Group, session: &mut PgConnection, message: &Message) {
    sqlx::query("SELECT vulkan.complete($1, $2, $3, $4)")
        .bind(group.id)
        .bind(message.offset)
        .bind(message.token)
        .bind(message.lane)
        .execute(session)
        .await
        .unwrap();
}

async fn keyed(db: &TestDb, many: usize) {
    for _ in 0..many {
        Publish::keyed("k").send(&db.pool).await;
    }
}

/// A run of its key that begins at that moment passes it over, and its end would take it for done.
#[tokio::test]
async fn a_redrive_that_meets_a_claim_of_its_key_loses_nothing() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    keyed(&db, 3).await;
    let first = group.claim_as("w", 1).await;
    assert!(group.claim().await.is_empty());
    db.run("SELECT vulkan.cancel('orders', 'g', 2)").await;
    group.done(&first).await;
    let mut claim = db.pool.begin().await.unwrap();
    // No room is left for the log, so it has no need of the latch.
    let run: Vec<Message> = sqlx::query_as("SELECT * FROM vulkan.claim($1, 'w', 1)")
        .bind(group.id)
        .fetch_all(&mut *claim)
        .await
        .unwrap();
    assert_eq!(offsets(&run), [3]);
    let redrive = meanwhile(&db, "SELECT vulkan.redrive('orders', 'g')").await;
    claim.commit().await.unwrap();
    ended(redrive).await.unwrap();
    db.check().await;
    group.done(&run).await;
    assert_eq!(group.status(2).await.unwrap().0, "dead");
    let redriven: i64 = db.value("SELECT vulkan.redrive('orders', 'g')").await;
    assert_eq!(redriven, 1);
    assert_eq!(group.claim_one().await.offset, 2);
    db.check().await;
}

/// A settlement without keyed messages, still open, must not hide the request from one that ends the run.
#[tokio::test]
async fn a_request_to_stop_is_heeded_whatever_else_is_settled_at_the_time() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let plain = Publish::new("n").send(&db.pool).await;
    keyed(&db, 2).await;
    let held = group.claim().await;
    db.run("SELECT vulkan.cancel('orders', 'g', 3)").await;
    let mut open = db.pool.begin().await.unwrap();
    let settlement = Settlement::closing(&held).item(&held[0], "retry");
    settlement.send(group.id, &mut *open).await.unwrap();
    let failed = Settlement::default().item_after(&held[1], "retry", Some(0.0));
    group.settle(&failed).await;
    open.commit().await.unwrap();
    db.check().await;
    assert_eq!(group.status(3).await.unwrap().0, "dead");
    assert_eq!(group.status(plain).await.unwrap().0, "ready");
}

#[tokio::test]
async fn a_replay_forgets_a_checkpoint_that_is_noted_at_the_time() {
    for publish in [Publish::new("n"), Publish::keyed("k")] {
        let db = TestDb::new().await;
        let group = db.group("g").await;
        publish.send(&db.pool).await;
        let held = group.claim_one().await;
        let mut open = db.pool.begin().await.unwrap();
        sqlx::query("SELECT vulkan.save_checkpoint($1, $2, $3, $4, '7')")
            .bind(group.id)
            .bind(held.offset)
            .bind(held.token)
            .bind(held.lane)
            .execute(&mut *open)
            .await
            .unwrap();
        let replay = meanwhile(
            &db,
            "SELECT vulkan.replay('orders', 'g', to_position => 'earliest')",
        )
        .await;
        open.commit().await.unwrap();
        ended(replay).await.unwrap();
        db.check().await;
        let noted: Option<Value> = db.value("SELECT vulkan.checkpoint_of(1, 1)").await;
        assert_eq!(noted, None);
    }
}

#[tokio::test]
async fn two_changes_of_the_delimiter_leave_the_lanes_with_the_last() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    db.run("SELECT vulkan.set_limits('orders', 'g', max_in_flight_per_prefix => 1, prefix_delimiter => ':')")
        .await;
    Publish::keyed("a:b/c").send(&db.pool).await;
    group.claim_one().await;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.set_limits('orders', 'g', prefix_delimiter => '/')")
        .execute(&mut *open)
        .await
        .unwrap();
    let back = meanwhile(
        &db,
        "SELECT vulkan.set_limits('orders', 'g', prefix_delimiter => ':', rate => 5)",
    )
    .await;
    open.commit().await.unwrap();
    ended(back).await.unwrap();
    let sorted: bool = db
        .value("SELECT prefix_delimiter = ':' AND prefix_hash = vulkan.prefix_hash('a:b/c', ':') FROM vulkan.groups, vulkan.lanes")
        .await;
    assert!(sorted);
}

#[tokio::test]
async fn two_changes_of_a_breaker_are_both_made() {
    let db = TestDb::new().await;
    db.group("g").await;
    db.run("SELECT vulkan.set_breaker('orders', 'g')").await;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.set_breaker('orders', 'g', pause => '77 s')")
        .execute(&mut *open)
        .await
        .unwrap();
    let other = meanwhile(&db, "SELECT vulkan.set_breaker('orders', 'g', probes => 5)").await;
    open.commit().await.unwrap();
    ended(other).await.unwrap();
    let both: bool = db
        .value("SELECT pause = '77 s' AND probes = 5 FROM vulkan.breakers")
        .await;
    assert!(both);
}

#[tokio::test]
async fn a_breaker_is_taken_away_while_options_are_declared() {
    let db = TestDb::new().await;
    db.group("g").await;
    db.run("SELECT vulkan.set_breaker('orders', 'g')").await;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.declare_options('orders', 'g', '{\"rate\": 5}', '1')")
        .execute(&mut *open)
        .await
        .unwrap();
    let taken = meanwhile(&db, "SELECT vulkan.set_breaker('orders', 'g', 0)").await;
    sqlx::query(
        "SELECT vulkan.declare_options('orders', 'g', '{\"breaker\": {\"probes\": 7}}', '2')",
    )
    .execute(&mut *open)
    .await
    .unwrap();
    open.commit().await.unwrap();
    ended(taken).await.unwrap();
    let left: i64 = db.value("SELECT count(*) FROM vulkan.breakers").await;
    assert_eq!(left, 0);
}

/// It holds the latch, and through it the group.
#[tokio::test]
async fn an_operator_gives_up_on_a_message_that_an_open_transaction_completes() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    keyed(&db, 1).await;
    let held = group.claim_one().await;
    let mut open = db.pool.begin().await.unwrap();
    complete(&group, &mut open, &held).await;
    let skip = meanwhile(&db, "SELECT vulkan.skip('orders', 'g', 1)").await;
    let error = ended(skip).await.unwrap_err();
    let code = error.as_database_error().unwrap().code().unwrap();
    assert_eq!(code, "55P03");
    open.commit().await.unwrap();
    group.done(&[held]).await;
    db.check().await;
}

/// Whatever order its caller names the messages in.
#[tokio::test]
async fn a_settlement_takes_the_rows_of_messages_in_order_of_offset() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    for _ in 0..2 {
        Publish::new("n").send(&db.pool).await;
    }
    let held = group.claim().await;
    let running = Settlement::closing(&held).item(&held[0], "running");
    group.settle(&running.item(&held[1], "running")).await;
    let mut open = db.pool.begin().await.unwrap();
    complete(&group, &mut open, &held[0]).await;
    let settle = tokio::spawn({
        let (group, held) = (group.clone(), held.clone());
        async move {
            let released = Settlement::default().item(&held[1], "release");
            let released = released.item(&held[0], "release");
            released.send(group.id, &group.pool).await
        }
    });
    db.until_blocked().await;
    complete(&group, &mut open, &held[1]).await;
    open.commit().await.unwrap();
    let verdicts = within("the settlement", settle).await.unwrap().unwrap();
    assert!(verdicts.iter().all(|verdict| verdict.verdict == "stale"));
    db.check().await;
}

/// Each takes the row of the message first, and its checkpoint after.
#[tokio::test]
async fn completing_a_message_meets_its_checkpoint_without_a_deadlock() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let held = group.claim_one().await;
    group.settle_one(&held, "running").await;
    let save = r#"SELECT vulkan.save_checkpoint(group_id, "offset", token, lane, '1') FROM vulkan.exceptions"#;
    db.run(save).await;
    // As the sweep of checkpoints does.
    let mut sweep = db.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM vulkan.checkpoints FOR UPDATE")
        .execute(&mut *sweep)
        .await
        .unwrap();
    let completion = meanwhile(
        &db,
        r#"SELECT vulkan.complete(group_id, "offset", token) FROM vulkan.exceptions"#,
    )
    .await;
    let saving = meanwhile(&db, save).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("both wait", async || db.value::<i64>(waiting).await == 2).await;
    sweep.commit().await.unwrap();
    ended(completion).await.unwrap();
    // It came too late, and says so.
    let error = ended(saving).await.unwrap_err();
    let code = error.as_database_error().unwrap().code().unwrap();
    assert_eq!(code, "VK007");
    assert_eq!(group.status(offset).await.unwrap().0, "done");
}
