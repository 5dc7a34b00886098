use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use serde_json::json;
use sqlx::Connection;
use vulkan::{Client, Delivery, DryRun, HandlerOptions, Message, State, Tx, handler};

use super::support::{Gate, Keeper, Running, on, options, until};
use crate::support::{Publish, TestDb};

/// A table for what handlers do, which does not mind to hold it twice.
async fn with_effects() -> TestDb {
    let db = TestDb::new().await;
    db.run("CREATE TABLE effects (message bigint, attempt integer)")
        .await;
    db
}

async fn effect(tx: &mut Tx, delivery: &Delivery) -> vulkan::Result {
    sqlx::query("INSERT INTO effects VALUES ($1, $2)")
        .bind(delivery.offset())
        .bind(i32::try_from(delivery.attempt())?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl TestDb {
    /// The attempts that had an effect, for each message.
    async fn effects(&self) -> Vec<(i64, i32)> {
        sqlx::query_as("SELECT message, attempt FROM effects ORDER BY 1, 2")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }
}

fn both() -> [Publish; 2] {
    [Publish::new("a"), Publish::keyed("k")]
}

#[handler(stream = "orders", group = "ledger", backoff = "10ms..50ms")]
async fn follow_up(fails: u32, cx: &Delivery, client: State<Client>, mut tx: Tx) -> vulkan::Result {
    effect(&mut tx, cx).await?;
    let follow_up = Message::new("follow-ups", "order.added", &cx.offset())?;
    client.publish_in(&mut *tx, follow_up).await?;
    if cx.attempt() <= fails {
        return Err("not yet".into());
    }
    Ok(())
}

/// At its first attempt, at later ones, alone and in a run of its key: the effect, the follow-up and the mark
/// are there once each.
#[tokio::test]
async fn what_is_written_and_published_commits_with_the_mark() {
    let db = with_effects().await;
    db.run("SELECT vulkan.create_stream('follow-ups')").await;
    let worker = db.worker().await.state(db.client().await);
    let running = Running::start(worker.register(follow_up));
    let mut expected = Vec::new();
    for fails in [0, 0, 1, 2] {
        for publish in both() {
            let publish = publish.payload(json!(fails));
            expected.push((publish.send(&db.pool).await, fails + 1));
        }
    }
    for &(offset, attempts) in &expected {
        db.until_is("ledger", offset, "done", attempts).await;
    }
    running.stop().await.unwrap();
    assert_eq!(db.effects().await, expected);
    let follow_ups: Vec<i64> = sqlx::query_scalar(
        "SELECT payload::bigint FROM vulkan.events e JOIN vulkan.streams s USING (stream_id)
         WHERE s.name = 'follow-ups' ORDER BY 1",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let offsets: Vec<i64> = expected.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(follow_ups, offsets);
    db.check().await;
}

/// What ends an attempt otherwise than by `Ok(())`.
#[tokio::test]
async fn nothing_commits_after_an_error_a_panic_or_a_timeout() {
    let db = with_effects().await;
    let options = options("fails")
        .retries(1)
        .timeout(Duration::from_millis(500));
    let running = Running::start(db.worker().await.register(on(options, |delivery| {
        Box::pin(async move {
            let mut tx = delivery.tx().await?;
            effect(&mut tx, delivery).await?;
            match delivery.kind() {
                "panic" => panic!("no"),
                "timeout" => std::future::pending().await,
                "query" => {
                    sqlx::query("SELECT pg_sleep(60)").execute(&mut *tx).await?;
                    Ok(())
                }
                _ => Err("no".into()),
            }
        })
    })));
    for kind in ["error", "panic", "timeout", "query"] {
        for publish in [Publish::new(kind), Publish::new(kind).key("k")] {
            let offset = publish.send(&db.pool).await;
            db.until_is("fails", offset, "dead", 2).await;
        }
    }
    running.stop().await.unwrap();
    assert_eq!(db.effects().await, []);
    db.check().await;
}

/// A handler that is dropped in the middle of a query leaves the query behind, and its connection with it.
#[tokio::test]
async fn a_query_left_behind_keeps_no_connection_from_others() {
    let db = with_effects().await;
    let options = options("sleeps")
        .retries(0)
        .timeout(Duration::from_millis(100));
    let running = Running::start(db.worker().await.register(on(options, |delivery| {
        Box::pin(async move {
            let mut tx = delivery.tx().await?;
            if delivery.kind() == "sleep" {
                sqlx::query("SELECT pg_sleep(20)").execute(&mut *tx).await?;
            }
            effect(&mut tx, delivery).await
        })
    })));
    // As many as the pool has connections.
    for _ in 0..10 {
        Publish::new("sleep").send(&db.pool).await;
    }
    until("all to be given up", || async {
        db.count("sleeps", "dead").await == 10
    })
    .await;
    let offset = Publish::new("quick").send(&db.pool).await;
    db.until_is("sleeps", offset, "done", 1).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_cut_off_at_the_end_commits_nothing() {
    let db = with_effects().await;
    let (gate, mut came) = Gate::new();
    let mut running = Running::start(db.worker().await.register(on(options("cut"), move |cx| {
        let gate = gate.clone();
        Box::pin(async move {
            let mut tx = cx.tx().await?;
            effect(&mut tx, cx).await?;
            gate.pass(cx.offset()).await;
            Ok(())
        })
    })));
    let mut offsets = Vec::new();
    for publish in both() {
        offsets.push(publish.send(&db.pool).await);
    }
    came.take(2).await;
    running.shutdown().stop_now();
    assert!(matches!(
        running.ended().await,
        Err(vulkan::RunError::CutOff { messages: 2 })
    ));
    for offset in offsets {
        db.until_is("cut", offset, "ready", 0).await;
    }
    until("the connections to be closed", || async {
        db.value::<i64>(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
        )
        .await
            == 0
    })
    .await;
    assert_eq!(db.effects().await, []);
    db.check().await;
}

/// A worker whose first attempts wait at a gate, their effect written.
async fn at_the_gate(db: &TestDb, group: &'static str) -> (Running, Keeper) {
    let (gate, came) = Gate::new();
    let handler = on(options(group), move |cx| {
        let gate = gate.clone();
        Box::pin(async move {
            let mut tx = cx.tx().await?;
            effect(&mut tx, cx).await?;
            if cx.attempt() == 1 {
                gate.pass(cx.offset()).await;
            }
            Ok(())
        })
    });
    (Running::start(db.worker().await.register(handler)), came)
}

#[tokio::test]
async fn who_lost_the_lease_in_mid_transaction_commits_nothing() {
    for publish in both() {
        let db = with_effects().await;
        let (running, mut came) = at_the_gate(&db, "lost").await;
        let offset = publish.send(&db.pool).await;
        assert_eq!(came.next().await, offset);
        db.lose_leases().await;
        db.until_is("lost", offset, "done", 2).await;
        came.let_go(1);
        running.stop().await.unwrap();
        assert_eq!(db.effects().await, [(offset, 2)]);
        db.check().await;
    }
}

#[tokio::test]
async fn what_an_operator_skips_meanwhile_has_no_effect() {
    for publish in both() {
        let db = with_effects().await;
        let (running, mut came) = at_the_gate(&db, "skipped").await;
        let offset = publish.send(&db.pool).await;
        assert_eq!(came.next().await, offset);
        let client = db.client().await;
        client
            .skip("orders", "skipped", offset, Some("not wanted"), DryRun::No)
            .await
            .unwrap();
        came.let_go(1);
        running.stop().await.unwrap();
        assert_eq!(db.effects().await, []);
        assert_eq!(db.stand("skipped", offset).await.status, "done");
        db.check().await;
    }
}

/// A `Tx` that outlives its handler must not commit anything, not then and not later.
#[tokio::test]
async fn a_transaction_that_outlives_its_handler_is_never_committed() {
    let db = with_effects().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("leaks").retries(1), move |cx| {
        let gate = gate.clone();
        Box::pin(async move {
            let mut tx = cx.tx().await?;
            effect(&mut tx, cx).await?;
            if cx.attempt() == 1 {
                let offset = cx.offset();
                tokio::spawn(async move {
                    gate.pass(offset).await;
                    drop(tx);
                    gate.tell(offset);
                });
            }
            Ok(())
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    let offset = Publish::new("a").send(&db.pool).await;
    came.next().await;
    db.until_is("leaks", offset, "done", 2).await;
    let error = db.stand("leaks", offset).await.last_error.unwrap();
    assert!(error.contains("its Tx is still in use"), "{error}");
    came.let_go(1);
    came.next().await;
    running.stop().await.unwrap();
    assert_eq!(db.effects().await, [(offset, 2)]);
}

#[tokio::test]
async fn what_cannot_commit_is_a_failed_attempt() {
    let db = with_effects().await;
    db.run(
        "CREATE TABLE accounts (id integer PRIMARY KEY);
         CREATE TABLE bookings (account integer REFERENCES accounts DEFERRABLE INITIALLY DEFERRED);
         CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
         CREATE TABLE deadly (n integer);
         CREATE CONSTRAINT TRIGGER die AFTER INSERT ON deadly DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION die()",
    )
    .await;
    let handler = on(options("refused").retries(0), |cx| {
        Box::pin(async move {
            let mut tx = cx.tx().await?;
            effect(&mut tx, cx).await?;
            let run = |sql: &'static str| sqlx::query(sql);
            match cx.kind() {
                "deferred" => {
                    let sql = "INSERT INTO bookings VALUES (1)";
                    run(sql).execute(&mut *tx).await?;
                }
                "deadly" => {
                    let sql = "INSERT INTO deadly VALUES (1)";
                    run(sql).execute(&mut *tx).await?;
                }
                // The error ends the transaction, whether the handler looks at it or not.
                "swallowed" => _ = run("SELECT 1 / 0").execute(&mut *tx).await,
                "second" => _ = cx.tx().await?,
                _ => _ = ManuallyDrop::new(tx.begin().await?),
            }
            Ok(())
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    for (kind, says) in [
        ("deferred", "violates foreign key constraint"),
        ("deadly", "could not commit"),
        ("swallowed", "transaction is aborted"),
        ("second", "has begun it already"),
        ("forgotten", "a savepoint is still open"),
    ] {
        let offset = Publish::new(kind).send(&db.pool).await;
        db.until_is("refused", offset, "dead", 1).await;
        let error = db.stand("refused", offset).await.last_error.unwrap();
        assert!(error.contains(says), "{kind}: {error}");
    }
    assert_eq!(db.effects().await, []);
    running.stop().await.unwrap();
    db.check().await;
}

/// Far more handlers than connections: they take turns, and the worker keeps some for itself.
#[tokio::test]
async fn handlers_wait_for_connections_and_leave_some_to_the_worker() {
    let db = with_effects().await;
    let at_once = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let highest = Arc::clone(&most);
    let options: HandlerOptions = options("many").lease(Duration::from_millis(600));
    let handler = on(options, move |cx| {
        let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
        Box::pin(async move {
            let mut tx = cx.tx().await?;
            let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            // Longer than the lease, which somebody must have a connection to extend.
            sqlx::query("SELECT pg_sleep(1)").execute(&mut *tx).await?;
            effect(&mut tx, cx).await?;
            at_once.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    let mut expected = Vec::new();
    for _ in 0..20 {
        expected.push((Publish::new("a").send(&db.pool).await, 1));
    }
    db.until_done("many", 20).await;
    running.stop().await.unwrap();
    assert_eq!(db.effects().await, expected);
    assert!(highest.load(Ordering::SeqCst) >= 2);
    assert!(highest.load(Ordering::SeqCst) <= 5, "{highest:?}");
}

#[tokio::test]
async fn a_delivery_without_a_database_says_so() {
    let delivery = Delivery::builder_json(&0).unwrap().build();
    let error = delivery.tx().await.unwrap_err();
    assert!(
        error.message().contains("DeliveryBuilder::client"),
        "{error}"
    );
    // There is none, so there is nothing to end.
    delivery.commit().await.unwrap();
}

/// A call that is dropped, or that fails, has begun nothing: the handler may go on without a transaction, or ask again.
#[tokio::test]
async fn a_transaction_that_did_not_begin_is_not_in_use() {
    let db = with_effects().await;
    let client = db.client().await;
    let delivery = Delivery::builder_json(&0).unwrap().client(&client).build();
    assert!(delivery.tx().now_or_never().is_none());
    delivery.commit().await.unwrap();

    let delivery = Delivery::builder_json(&0).unwrap().client(&client).build();
    assert!(delivery.tx().now_or_never().is_none());
    let mut tx = delivery.tx().await.unwrap();
    effect(&mut tx, &delivery).await.unwrap();
    drop(tx);
    delivery.commit().await.unwrap();
    assert_eq!(db.effects().await, [(delivery.offset(), 1)]);

    client.pool().close().await;
    let delivery = Delivery::builder_json(&0).unwrap().client(&client).build();
    for _ in 0..2 {
        let error = delivery.tx().await.unwrap_err();
        assert!(error.message().contains("could not begin"), "{error}");
    }
    delivery.commit().await.unwrap();
}
