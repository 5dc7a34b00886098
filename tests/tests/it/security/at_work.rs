use std::time::Duration;

use serde_json::json;
use vulkan::{
    Client, Delivery, DryRun, Error, Message, Position, Received, Redrive, Schedule, Tx, Worker,
    handler,
};

use super::support::{DENIED, Roles, code};
use crate::worker::support::{Running, until};

fn order(kind: &str) -> Message {
    Message::new("orders", kind, &json!({"card": "4242"})).unwrap()
}

fn denied(error: &Error) -> bool {
    match error {
        Error::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some(DENIED),
        _ => false,
    }
}

#[handler(
    stream = "orders",
    group = "billing",
    retries = 2,
    backoff = "10ms..10ms"
)]
async fn bill(_: serde_json::Value, cx: &Delivery) -> vulkan::Result {
    if cx.kind() == "order.hopeless" {
        return Err("never".into());
    }
    if cx.attempt() == 1 {
        cx.save_checkpoint(&1).await?;
        return Err("not yet".into());
    }
    assert_eq!(cx.checkpoint::<i32>().await?, Some(1));
    Ok(())
}

#[handler(stream = "orders", group = "ledger")]
async fn enter(_: serde_json::Value, _tx: Tx) -> vulkan::Result {
    Ok(())
}

#[handler(stream = "orders", group = "audit", batch = 10, max_in_flight = 50)]
async fn audit(_: Vec<Received<serde_json::Value>>) {}

/// The programs of a deployment, none of them with more than its role: what each is for works, whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_works_with_the_roles_alone() {
    let mut roles = Roles::new().await;
    let worker = roles.client(&["worker"]).await;
    let publisher = roles.client(&["publisher"]).await;
    let operator = roles.client(&["operator"]).await;
    let reader = roles.client(&["reader"]).await;
    for client in [&worker, &publisher, &operator, &reader] {
        client.check_schema().await.unwrap();
    }

    // The worker makes its groups, and a stream of its own.
    let every = Schedule::every("nightly", Duration::from_secs(3600)).event(order("order.nightly"));
    let mut running = Running::start(
        Worker::builder(worker.clone())
            .name("worker-1")
            .poll(Duration::from_millis(50))
            .register(bill)
            .register(enter)
            .register(audit)
            .schedule(every),
    );
    until("the worker to serve its groups", async || {
        operator.workers().await.unwrap().len() == 1
    })
    .await;

    // Each way to publish.
    let mut published = 0;
    publisher.publish(order("order.placed")).await.unwrap();
    let once = order("order.placed").key("k").dedup_id("d");
    let first = publisher.publish_once(once.clone()).await.unwrap();
    let second = publisher.publish_once(once).await.unwrap();
    assert!(!first.duplicate && second.duplicate);
    let batch = [order("order.placed"), order("order.placed").key("k")];
    publisher.publish_many(batch).await.unwrap();
    let batch = [order("a").dedup_id("x"), order("a").dedup_id("x")];
    publisher.publish_many(batch).await.unwrap();
    let mut tx = publisher.begin().await.unwrap();
    publisher
        .publish_in(&mut *tx, order("order.placed"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let merged = publisher.publisher();
    merged.publish(order("order.placed")).await.unwrap();
    merged.close().await;
    let loaded = (0..10).map(|_| order("order.loaded").key("k"));
    assert_eq!(publisher.load(loaded).await.unwrap(), 10);
    published += 1 + 1 + 2 + 1 + 1 + 1 + 10;
    let hopeless = publisher.publish(order("order.hopeless")).await.unwrap();

    // The worker handles all of it.
    for group in ["billing", "ledger", "audit"] {
        let done = if group == "billing" {
            published
        } else {
            published + 1
        };
        until(&format!("{group} to be done"), async || {
            roles.count(group, "done").await == done
        })
        .await;
    }
    roles.until_is("billing", hopeless, "dead", 3).await;

    // The operator does what operators do.
    assert!(operator.run_schedule_now("nightly").await.unwrap() > hopeless);
    assert!(operator.pause_schedule("nightly").await.unwrap());
    operator.resume_schedule("nightly").await.unwrap();
    let count = operator
        .redrive("orders", "billing", Redrive::default(), DryRun::No)
        .await
        .unwrap();
    assert_eq!(count, 1);
    roles.until_is("billing", hopeless, "dead", 3).await;
    operator
        .pause("orders", "ledger", DryRun::No)
        .await
        .unwrap();
    let waits = publisher.publish(order("order.late")).await.unwrap();
    operator
        .skip("orders", "ledger", waits, Some("not wanted"), DryRun::No)
        .await
        .unwrap();
    let stopped = publisher.publish(order("order.late")).await.unwrap();
    operator
        .cancel("orders", "ledger", stopped, None, DryRun::No)
        .await
        .unwrap();
    operator
        .resume("orders", "ledger", DryRun::No)
        .await
        .unwrap();
    operator
        .replay("orders", "ledger", Position::Earliest, DryRun::No)
        .await
        .unwrap();
    operator.maintain().await.unwrap();
    operator.delete_schedule("nightly").await.unwrap();
    operator.drain_worker("worker-1").await.unwrap();

    // The reader sees how it goes, and of the messages what a label says, not what is in them.
    assert_eq!(reader.overview().await.unwrap().len(), 3);
    assert_eq!(reader.inspect(hopeless).await.unwrap().len(), 3);
    reader.workers().await.unwrap();
    let pool = reader.pool();
    for view in [
        "deliveries",
        "group_overview",
        "group_workers",
        "prefix_overview",
        "blocked_keys",
        "lso_holders",
        "slots",
        "meta",
    ] {
        let sql = format!("SELECT * FROM vulkan.{view}");
        super::support::run(pool, sql).await;
    }
    for sql in [
        "SELECT payload FROM vulkan.events",
        "SELECT payload FROM vulkan.schedule_overview",
        "SELECT headers FROM vulkan.schedule_overview",
        "SELECT value FROM vulkan.checkpoints",
        "SELECT token FROM vulkan.claims",
        "SELECT vulkan.checkpoint_of(1, 1)",
    ] {
        assert_eq!(code(pool, sql).await, DENIED, "{sql}");
    }
    running.ended().await.unwrap();
    roles.check().await;
    roles.end().await;
}

/// What each role may not, tried by who has it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_does_what_is_not_theirs() {
    let mut roles = Roles::new().await;
    roles.group("audit").await;
    let publisher = roles.client(&["publisher"]).await;
    let offset = publisher.publish(order("a")).await.unwrap();
    let reading = [
        "SELECT * FROM vulkan.events",
        "SELECT payload FROM vulkan.events_1",
        "SELECT payload FROM vulkan.events_1_0",
        "SELECT * FROM vulkan.deliveries",
        "SELECT * FROM vulkan.dedup",
        "SELECT * FROM vulkan.claim(1, 'w')",
        "SELECT * FROM vulkan.read_events(1, 0)",
        "COPY vulkan.events_1 TO STDOUT",
    ];
    let forging = [
        // An offset of one's own would be skipped, or stand in another's way.
        "INSERT INTO vulkan.events (\"offset\", stream_id, kind, payload) VALUES (77, 1, 'a', '1')",
        "INSERT INTO vulkan.events_1 (\"offset\", kind, payload) VALUES (77, 'a', '1')",
        "INSERT INTO vulkan.events_1 (created_at, kind, payload) VALUES (now(), 'a', '1')",
        "INSERT INTO vulkan.events_1_0 (\"offset\", stream_id, kind, payload) VALUES (77, 1, 'a', '1')",
        "UPDATE vulkan.events SET kind = 'b'",
        "DELETE FROM vulkan.events_1",
        "TRUNCATE vulkan.events_1_0",
        "SELECT setval('vulkan.offset_seq', 1)",
        "DROP TABLE vulkan.events_1_0",
        "ALTER TABLE vulkan.events_1 DISABLE TRIGGER ALL",
        "CREATE TABLE vulkan.mine ()",
        "CREATE FUNCTION vulkan.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT vulkan.announce(1)",
        "SELECT vulkan.publish_many_once(1, '{a}', '{1}', NULL, NULL, NULL, '{x}', NULL)",
        "SELECT vulkan.create_roles()",
        "SELECT vulkan.grant_roles()",
        "UPDATE vulkan.meta SET max_payload = 65536",
        "SET ROLE postgres",
    ];
    let working = [
        "SELECT * FROM vulkan.settle(1, '{1}', '{1}', '{}', '{}', '{}', '{}', '{}', '{}')",
        "SELECT vulkan.create_stream('mine')",
        "SELECT vulkan.create_group('orders', 'mine')",
        "SELECT * FROM vulkan.maintain()",
    ];
    let operating = [
        "SELECT vulkan.pause('orders', 'audit')",
        "SELECT vulkan.redrive('orders', 'audit')",
        "SELECT vulkan.skip('orders', 'audit', 1)",
        "SELECT vulkan.cancel('orders', 'audit', 1)",
        "SELECT * FROM vulkan.replay('orders', 'audit', to_position => 'earliest')",
        "SELECT vulkan.roll_slot()",
        "SELECT vulkan.drain_workers('1')",
        "SELECT vulkan.delete_schedule('x')",
    ];
    let inner = [
        "INSERT INTO vulkan.claims (group_id, lo, hi, token, messages, origin) VALUES (1, 0, 9, 1, 0, 'pass')",
        "DELETE FROM vulkan.exceptions",
        "UPDATE vulkan.groups SET lease = '1 day'",
        "SELECT nextval('vulkan.token_seq')",
        "SELECT vulkan.hand_over('postgres')",
    ];
    let publishing = ["SELECT vulkan.publish('orders', 'a', '1')"];
    let mut none = Vec::new();
    for (parts, kinds) in [
        (
            vec!["publisher"],
            vec![&reading[..], &forging, &working, &operating, &inner],
        ),
        (
            vec!["worker"],
            vec![&forging[..], &operating, &inner, &publishing],
        ),
        (vec!["operator"], vec![&forging[..], &inner, &publishing]),
        (
            vec!["reader"],
            vec![&forging[..], &working, &operating, &inner, &publishing],
        ),
        (
            vec!["migrator"],
            vec![
                &reading[..],
                &forging,
                &working,
                &operating,
                &inner,
                &publishing,
            ],
        ),
        (
            vec![],
            vec![&reading[..], &working, &operating, &publishing],
        ),
    ] {
        let pool = roles.login(&parts).await;
        for sql in kinds.concat() {
            assert_eq!(code(&pool, sql).await, DENIED, "{parts:?}: {sql}");
        }
        none.push(pool);
    }
    // Through the client it is told as what it is, and nothing to try again.
    let worker: Client = roles.client(&["worker"]).await;
    let error = worker.publish(order("a")).await.unwrap_err();
    assert!(denied(&error) && !error.is_transient(), "{error:?}");
    let offsets: Vec<i64> = roles
        .value("SELECT array_agg(\"offset\") FROM vulkan.events")
        .await;
    assert_eq!(offsets, [offset]);
    roles.check().await;
    roles.end().await;
}
