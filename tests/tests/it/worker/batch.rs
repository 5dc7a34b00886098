use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use vulkan::{
    Batch, BatchHandler, Client, DryRun, HandlerError, HandlerOptions, Interruption, Message,
    Received, RunError, State, Tx, WorkerEvent, handler,
};

use super::support::{Gate, Running, on, options, until};
use crate::support::{Publish, TestDb};

/// A batch handler made of a closure.
struct InBatch<F> {
    options: HandlerOptions,
    call: F,
}

type Answer<'a> = futures::future::BoxFuture<'a, vulkan::Result>;

fn in_batch<F>(options: HandlerOptions, call: F) -> InBatch<F>
where
    F: for<'a> Fn(&'a Batch) -> Answer<'a> + Send + Sync + 'static,
{
    InBatch { options, call }
}

impl<S, F> BatchHandler<S> for InBatch<F>
where
    S: Sync,
    F: for<'a> Fn(&'a Batch) -> Answer<'a> + Send + Sync + 'static,
{
    fn options(&self) -> HandlerOptions {
        self.options.clone()
    }

    async fn call(&self, batch: &Batch, _: &S) -> vulkan::Result {
        (self.call)(batch).await
    }
}

/// What was handled together, in the order in which it was.
#[derive(Clone, Default)]
struct Batches(Arc<Mutex<Vec<Vec<i64>>>>);

impl Batches {
    fn note(&self, batch: &Batch) {
        let offsets = batch.deliveries().map(|delivery| delivery.offset());
        self.0.lock().unwrap().push(offsets.collect());
    }

    fn take(&self) -> Vec<Vec<i64>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Publishes all in one transaction, so that they are claimed at once.
async fn send_all(db: &TestDb, all: impl IntoIterator<Item = Publish>) -> Vec<i64> {
    let mut tx = db.pool.begin().await.unwrap();
    let mut offsets = Vec::new();
    for publish in all {
        offsets.push(publish.send(&mut *tx).await);
    }
    tx.commit().await.unwrap();
    offsets
}

async fn effects(db: &TestDb) -> Vec<i64> {
    sqlx::query_scalar("SELECT message FROM effects ORDER BY 1")
        .fetch_all(&db.pool)
        .await
        .unwrap()
}

#[handler(stream = "orders", group = "load", batch = 40, concurrency = 2)]
async fn load(
    numbers: Vec<Received<i64>>,
    client: State<Client>,
    batches: State<Batches>,
    mut tx: Tx,
) -> vulkan::Result {
    let offsets: Vec<i64> = numbers.iter().map(|n| n.delivery().offset()).collect();
    batches.0.0.lock().unwrap().push(offsets.clone());
    sqlx::query("INSERT INTO effects SELECT unnest($1::bigint[])")
        .bind(offsets)
        .execute(&mut *tx)
        .await?;
    let sum: i64 = numbers.iter().map(|number| **number).sum();
    let follow_up = Message::new("follow-ups", "loaded", &sum)?;
    client.publish_in(&mut *tx, follow_up).await?;
    Ok(())
}

#[derive(Clone)]
struct App {
    client: Client,
    batches: Batches,
}

impl vulkan::FromRef<App> for Client {
    fn from_ref(app: &App) -> Self {
        app.client.clone()
    }
}

impl vulkan::FromRef<App> for Batches {
    fn from_ref(app: &App) -> Self {
        app.batches.clone()
    }
}

#[tokio::test]
async fn messages_are_handled_together_and_commit_together() {
    let db = TestDb::new().await;
    db.run("CREATE TABLE effects (message bigint); SELECT vulkan.create_stream('follow-ups')")
        .await;
    let all = (0..200).map(|n| {
        let publish = Publish::new("n").payload(json!(n));
        match n % 10 {
            0 => publish.key(&format!("k{}", n % 3)),
            _ => publish,
        }
    });
    let offsets = send_all(&db, all).await;
    let app = App {
        client: db.client().await,
        batches: Batches::default(),
    };
    let batches = app.batches.clone();
    let running = Running::start(db.worker().await.state(app).register(load));
    db.until_done("load", 200).await;
    running.stop().await.unwrap();
    assert_eq!(effects(&db).await, offsets);
    let batches = batches.take();
    assert!(batches.iter().all(|batch| batch.len() <= 40), "{batches:?}");
    // 180 of them have no key; those of a key come one a batch.
    assert!(batches.len() < 30, "{} batches", batches.len());
    let sum: i64 = db
        .value("SELECT sum(payload::bigint)::bigint FROM vulkan.events WHERE kind = 'loaded'")
        .await;
    assert_eq!(sum, (0..200).sum::<i64>());
    db.check().await;
}

#[tokio::test]
async fn some_may_fail_one_by_one() {
    let db = TestDb::new().await;
    let handler = in_batch(options("picky").batch(10), |batch| {
        Box::pin(async move {
            for number in batch.received::<i64>() {
                match (*number, number.delivery().attempt()) {
                    (1, 1) => number.fail("not yet"),
                    (2, _) => number.fail(HandlerError::dead("never")),
                    (3, _) => number.fail(HandlerError::snooze(Duration::from_secs(55))),
                    (4, 1) => {
                        number.fail(HandlerError::retry_in(Duration::from_secs(77), "later"));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    });
    let numbers = [json!(0), json!(1), json!(2), json!(3), json!(4)];
    let numbers = numbers.into_iter().chain([json!("no number")]);
    let offsets = send_all(&db, numbers.map(|n| Publish::new("n").payload(n))).await;
    let running = Running::start(db.worker().await.register(handler));
    for (place, status, attempts) in [
        (0, "done", 1),
        (1, "done", 2),
        (2, "dead", 1),
        (3, "ready", 0),
        (4, "ready", 1),
        (5, "dead", 1),
    ] {
        db.until_is("picky", offsets[place], status, attempts).await;
    }
    let error = db.stand("picky", offsets[5]).await.last_error.unwrap();
    assert!(error.contains("cannot decode the payload"), "{error}");
    let delay = db.stand("picky", offsets[4]).await.delay.unwrap();
    assert!((76.0..78.0).contains(&delay), "{delay}");
    running.stop().await.unwrap();
    db.check().await;
}

/// However a batch fails because of one message, the others are handled at their second attempt, alone.
#[tokio::test]
async fn one_that_makes_its_batch_fail_is_dead_alone() {
    for kind in ["error", "dead", "panic", "timeout"] {
        let db = TestDb::new().await;
        db.run("CREATE TABLE effects (message bigint)").await;
        let batches = Batches::default();
        let noted = batches.clone();
        let options = options("poison")
            .batch(10)
            .retries(2)
            .timeout(Duration::from_secs(1));
        let handler = in_batch(options, move |batch| {
            let noted = noted.clone();
            Box::pin(async move {
                noted.note(batch);
                let mut tx = batch.tx().await?;
                for delivery in batch.deliveries() {
                    sqlx::query("INSERT INTO effects VALUES ($1)")
                        .bind(delivery.offset())
                        .execute(&mut *tx)
                        .await?;
                    match delivery.kind() {
                        "error" => return Err("no".into()),
                        "dead" => return Err(HandlerError::dead("no")),
                        "panic" => panic!("no"),
                        "timeout" => std::future::pending().await,
                        _ => {}
                    }
                }
                Ok(())
            })
        });
        let kinds = ["good", "good", kind, "good"];
        let offsets = send_all(&db, kinds.map(Publish::new)).await;
        let keyed = send_all(&db, kinds.map(|kind| Publish::new(kind).key("k"))).await;
        let running = Running::start(db.worker().await.register(handler));
        let mut good = Vec::new();
        for (nth, offset) in offsets.iter().chain(&keyed).copied().enumerate() {
            let status = if nth % 4 == 2 { "dead" } else { "done" };
            db.until_stands("poison", offset, status, |stand| stand.status == status)
                .await;
            if status == "done" {
                good.push(offset);
            }
        }
        running.stop().await.unwrap();
        // Exactly once, and none of what is dead.
        assert_eq!(effects(&db).await, good, "{kind}");
        let batches = batches.take();
        let alone = batches.iter().filter(|batch| **batch == [offsets[2]]);
        let last = if kind == "dead" { 1 } else { 2 };
        assert_eq!(alone.count(), last, "{kind}: {batches:?}");
        db.check().await;
    }
}

#[tokio::test]
async fn a_key_has_one_message_in_a_batch_and_keeps_its_order() {
    let db = TestDb::new().await;
    let batches = Batches::default();
    let noted = batches.clone();
    let handler = in_batch(options("keyed").batch(10).concurrency(3), move |batch| {
        let noted = noted.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            for delivery in batch.received::<serde_json::Value>() {
                let delivery = delivery.delivery();
                if delivery.kind() == "fails" && delivery.attempt() == 1 {
                    batch
                        .received::<serde_json::Value>()
                        .iter()
                        .filter(|other| other.delivery().offset() == delivery.offset())
                        .for_each(|this| this.fail("once"));
                }
            }
            noted.note(batch);
            Ok(())
        })
    });
    let mut keys: HashMap<i64, usize> = HashMap::new();
    let all = (0..120).map(|n| {
        let kind = if n % 17 == 0 { "fails" } else { "fine" };
        Publish::new(kind).key(&format!("k{}", n % 7))
    });
    for (n, offset) in send_all(&db, all).await.into_iter().enumerate() {
        keys.insert(offset, n % 7);
    }
    let running = Running::start(db.worker().await.register(handler));
    db.until_done("keyed", 120).await;
    running.stop().await.unwrap();
    let batches = batches.take();
    for batch in &batches {
        let mut of: Vec<usize> = batch.iter().map(|offset| keys[offset]).collect();
        of.sort_unstable();
        of.dedup();
        assert_eq!(of.len(), batch.len(), "two of one key in {batch:?}");
    }
    // Several keys go together, or there would be no point.
    assert!(batches.iter().any(|batch| batch.len() > 2), "{batches:?}");
    for key in 0..7 {
        let order: Vec<i64> = batches
            .iter()
            .flatten()
            .copied()
            .filter(|offset| keys[offset] == key)
            .collect();
        assert!(order.is_sorted(), "key {key}: {order:?}");
    }
    db.check().await;
}

/// A run that changes between a handler of single messages and one of batches keeps its order, too.
#[tokio::test]
async fn a_run_goes_from_one_handler_to_the_other_in_order() {
    let db = TestDb::new().await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let (single, batched) = (Arc::clone(&order), Arc::clone(&order));
    let one = on(options("mixed").kinds(["one"]), move |delivery| {
        single.lock().unwrap().push(delivery.offset());
        Box::pin(async { Ok(()) })
    });
    let many = in_batch(options("mixed").kinds(["many"]).batch(5), move |batch| {
        let offsets = batch.deliveries().map(|delivery| delivery.offset());
        batched.lock().unwrap().extend(offsets);
        Box::pin(async { Ok(()) })
    });
    let kinds = [
        "one", "many", "many", "one", "one", "many", "nobody", "one", "many",
    ];
    let running = Running::start(db.worker().await.register(one).register(many));
    // Bound to both kinds alone, so the third is passed over.
    let offsets = send_all(&db, kinds.map(|kind| Publish::new(kind).key("k"))).await;
    db.until_done("mixed", 8).await;
    running.stop().await.unwrap();
    let expected: Vec<i64> = [0, 1, 2, 3, 4, 5, 7, 8].map(|n| offsets[n]).into();
    assert_eq!(*order.lock().unwrap(), expected);
    db.check().await;
}

/// One message of a batch is taken away while it is in work: nothing of its transaction commits, and the others
/// are handled again with no attempt spent.
#[tokio::test]
async fn one_lost_lease_rolls_the_batch_back_and_costs_the_others_nothing() {
    let db = TestDb::new().await;
    db.run("CREATE TABLE effects (message bigint)").await;
    let (gate, mut came) = Gate::new();
    let handler = in_batch(options("lost").batch(10), move |batch| {
        let gate = gate.clone();
        Box::pin(async move {
            let mut tx = batch.tx().await?;
            for delivery in batch.deliveries() {
                sqlx::query("INSERT INTO effects VALUES ($1)")
                    .bind(delivery.offset())
                    .execute(&mut *tx)
                    .await?;
            }
            gate.pass(i64::try_from(batch.len())?).await;
            Ok(())
        })
    });
    let four = || {
        (0..4).map(|n| {
            if n == 3 {
                Publish::keyed("k")
            } else {
                Publish::new("n")
            }
        })
    };
    let offsets = send_all(&db, four()).await;
    let running = Running::start(db.worker().await.register(handler));
    assert_eq!(came.next().await, 4);
    let client = db.client().await;
    client
        .skip("orders", "lost", offsets[1], None, DryRun::No)
        .await
        .unwrap();
    came.let_all_go();
    for offset in [offsets[0], offsets[2], offsets[3]] {
        db.until_is("lost", offset, "done", 1).await;
    }
    running.stop().await.unwrap();
    assert_eq!(effects(&db).await, [offsets[0], offsets[2], offsets[3]]);
    assert_eq!(db.stand("lost", offsets[1]).await.status, "done");
    db.check().await;
}

#[tokio::test]
async fn batches_count_for_concurrency_and_are_cut_off_whole() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = in_batch(options("slow").batch(3).concurrency(2), move |batch| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass(i64::try_from(batch.len())?).await;
            Ok(())
        })
    });
    let offsets = send_all(&db, (0..9).map(|_| Publish::new("n"))).await;
    let mut running = Running::start(db.worker().await.register(handler));
    assert_eq!(came.take(2).await, [3, 3]);
    // Past the time at which what still waits is given back.
    until("messages in work to have rows of their own", || async {
        db.value::<i64>("SELECT count(*) FROM vulkan.exceptions WHERE status = 'processing'")
            .await
            == 6
    })
    .await;
    assert!(came.nothing_else(), "a third batch");
    running.shutdown().stop_now();
    let ended = running.ended().await;
    assert!(
        matches!(ended, Err(RunError::CutOff { messages: 6 })),
        "{ended:?}"
    );
    for offset in offsets {
        assert!(db.stand("slow", offset).await.is("ready", 0));
    }
    db.check().await;
}

/// Its own tasks, by the token of each message, since the handler itself is dropped at once.
#[tokio::test]
async fn the_tasks_of_a_batch_that_times_out_are_told() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = in_batch(
        options("slow")
            .batch(2)
            .retries(0)
            .timeout(Duration::from_millis(300)),
        move |batch| {
            for delivery in batch.deliveries() {
                let (gate, offset) = (gate.clone(), delivery.offset());
                let token = delivery.cancellation_token().clone();
                tokio::spawn(async move {
                    token.cancelled().await;
                    gate.tell(offset);
                });
            }
            Box::pin(std::future::pending())
        },
    );
    let running = Running::start(db.worker().await.register(handler));
    let offsets = send_all(&db, (0..2).map(|_| Publish::new("n"))).await;
    assert_eq!(came.take(2).await, offsets);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_batch_that_pays_no_heed_to_the_shutdown_is_told() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = in_batch(options("cut").batch(2), move |batch| {
        let (gate, len) = (gate.clone(), batch.len());
        Box::pin(async move {
            gate.pass(i64::try_from(len)?).await;
            Ok(())
        })
    });
    let ignored = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&ignored);
    let worker = db.worker().await.register(handler).on_event(move |event| {
        if let WorkerEvent::CancellationIgnored { attempt, why, .. } = event {
            heard.lock().unwrap().push((attempt.offset, *why));
        }
    });
    let mut running = Running::start(worker);
    let offsets = send_all(&db, (0..2).map(|_| Publish::new("n"))).await;
    assert_eq!(came.next().await, 2);
    running.shutdown().stop_now();
    running.ended().await.unwrap_err();
    let expected: Vec<_> = offsets
        .into_iter()
        .map(|offset| (offset, Interruption::Shutdown))
        .collect();
    assert_eq!(*ignored.lock().unwrap(), expected);
}

/// The text of an error is made by code of the handler's author.
#[tokio::test]
async fn an_error_that_panics_while_it_is_written_fails_its_attempt() {
    #[derive(Debug)]
    struct Speechless;

    impl fmt::Display for Speechless {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }

    impl std::error::Error for Speechless {}

    let db = TestDb::new().await;
    let handler = in_batch(options("speechless").retries(0).batch(5), |batch| {
        Box::pin(async move {
            match batch.received::<bool>() {
                received if *received[0] => Err(Speechless.into()),
                received => {
                    received[0].fail(Speechless);
                    Ok(())
                }
            }
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    for whole in [true, false] {
        let [offset] = send_all(&db, [Publish::new("n").payload(json!(whole))]).await[..] else {
            unreachable!("one was sent");
        };
        db.until_is("speechless", offset, "dead", 1).await;
    }
    running.stop().await.unwrap();
    db.check().await;
}

/// Batches that take longer than their lease, and than their claim stays open: their messages are settled as running
/// while they are marked done.
#[tokio::test]
async fn long_batches_and_settlements_do_not_stand_in_each_others_way() {
    let db = TestDb::new().await;
    db.run("CREATE TABLE effects (message bigint)").await;
    let options = options("long")
        .batch(50)
        .concurrency(4)
        .lease(Duration::from_millis(300));
    let handler = in_batch(options, move |batch| {
        Box::pin(async move {
            let mut tx = batch.tx().await?;
            let offsets: Vec<i64> = batch.deliveries().map(|d| d.offset()).collect();
            // Around the hundred milliseconds after which claims are settled here.
            tokio::time::sleep(Duration::from_millis(85 + offsets[0] as u64 % 30)).await;
            sqlx::query("INSERT INTO effects SELECT unnest($1::bigint[])")
                .bind(offsets)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    let mut offsets = Vec::new();
    for _ in 0..20 {
        offsets.extend(send_all(&db, (0..100).map(|_| Publish::new("n"))).await);
    }
    db.until_done("long", 2000).await;
    running.stop().await.unwrap();
    assert_eq!(effects(&db).await, offsets);
    let attempts: i64 = db
        .value("SELECT sum(attempts)::bigint FROM vulkan.deliveries WHERE consumer_group = 'long'")
        .await;
    assert_eq!(attempts, 2000, "at their first attempt");
    db.check().await;
}
