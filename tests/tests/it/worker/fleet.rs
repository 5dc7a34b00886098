use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vulkan::{Error, LiveWorker, Worker, WorkerBuilder, WorkerEvent, WorkerState};

use super::support::{Gate, On, Running, on, options, until, waits_at};
use crate::support::{Publish, TestDb};

async fn workers(db: &TestDb) -> Vec<LiveWorker> {
    db.client().await.workers().await.unwrap()
}

/// Waits until so many workers are alive.
async fn until_alive(db: &TestDb, many: usize) {
    until(&format!("{many} workers to be alive"), || async {
        workers(db).await.len() == many
    })
    .await;
}

#[tokio::test]
async fn a_worker_is_a_row_while_it_lives() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(
        &gate,
        options("rows")
            .name("rows")
            .kinds(["a"])
            .retries(4)
            .concurrency(3),
    );
    let builder = db
        .worker()
        .await
        .name("alone")
        .version("1.4.2")
        .concurrency(8);
    let mut running = Running::start(builder.register(handler));
    until_alive(&db, 1).await;
    let worker = workers(&db).await.remove(0);
    assert_eq!(worker.name, "alone");
    assert_eq!(worker.version.as_deref(), Some("1.4.2"));
    assert_eq!(worker.pid, i32::try_from(std::process::id()).ok());
    assert_eq!((worker.state, worker.slots), (WorkerState::Running, 8));
    assert_eq!(
        (worker.ignored_cancellations, worker.stuck_handlers),
        (0, 0)
    );
    let handler = &worker.handlers[0];
    assert_eq!(
        (handler.name.as_str(), handler.group.as_str()),
        ("rows", "rows")
    );
    assert_eq!(handler.kinds, ["a"]);
    assert_eq!(handler.options["retries"], 4);
    assert_eq!(handler.options["concurrency"], 3);

    Publish::new("a").send(&db.pool).await;
    came.next().await;
    running.shutdown().stop();
    until("it to say that it drains", || async {
        let worker = workers(&db).await.remove(0);
        worker.state == WorkerState::Draining && worker.slots_used == 1
    })
    .await;
    came.let_all_go();
    running.ended().await.unwrap();
    assert_eq!(workers(&db).await, []);
}

#[tokio::test]
async fn a_drained_worker_finishes_and_ends() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("drains"));
    let first = Publish::new("a").send(&db.pool).await;
    let builder = db.worker().await.name("old");
    let mut running = Running::start(builder.register(handler));
    assert_eq!(came.next().await, first);
    until_alive(&db, 1).await;
    let client = db.client().await;
    let error = client.drain_worker("young").await.unwrap_err();
    assert!(matches!(error, Error::UnknownWorker(_)), "{error:?}");
    client.drain_worker("old").await.unwrap();
    until("it to say that it drains", || async {
        workers(&db).await[0].state == WorkerState::Draining
    })
    .await;
    let late = Publish::new("a").send(&db.pool).await;
    assert!(!running.is_over());
    came.let_all_go();
    running.ended().await.unwrap();
    assert!(db.stand("drains", first).await.is("done", 1));
    assert!(db.stand("drains", late).await.is("ready", 0));
    assert_eq!(workers(&db).await, []);
}

#[tokio::test]
async fn an_idle_worker_is_woken_to_drain() {
    let db = TestDb::new().await;
    let idle = on(options("idle"), |_| Box::pin(async { Ok(()) }));
    let builder = Worker::builder(db.client().await)
        .version("0.9")
        .poll(Duration::from_secs(600));
    let mut running = Running::start(builder.register(idle));
    until_alive(&db, 1).await;
    until("it to sleep", || async {
        db.value::<bool>(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1459617794 AND granted
                            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .await
    })
    .await;
    let since = Instant::now();
    let client = db.client().await;
    let error = client.drain_workers(Some("0.8")).await.unwrap_err();
    assert!(matches!(error, Error::UnknownWorker(_)), "{error:?}");
    assert_eq!(client.drain_workers(Some("0.9")).await.unwrap(), 1);
    running.ended().await.unwrap();
    assert!(
        since.elapsed() < Duration::from_secs(6),
        "{:?}",
        since.elapsed()
    );
}

/// What workers told of each other's versions and options.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn by(&self, builder: WorkerBuilder<()>) -> WorkerBuilder<()> {
        let Self(heard) = self.clone();
        builder.on_event(move |event| {
            let text = match event {
                WorkerEvent::OptionsDiffer {
                    standing_version,
                    differences,
                    ..
                } => format!("differ from {standing_version}: {differences}"),
                WorkerEvent::OtherVersions {
                    version, others, ..
                } => format!("{version} beside {others:?}"),
                _ => return,
            };
            heard.lock().unwrap().push(text);
        })
    }

    fn any(&self, text: &str) -> bool {
        self.0.lock().unwrap().iter().any(|heard| heard == text)
    }
}

/// What each attempt is told of its budget.
fn tells(
    group: &'static str,
    retries: u32,
    gate: Gate,
) -> On<impl for<'a> Fn(&'a vulkan::Delivery) -> super::support::Answer<'a> + Send + Sync + 'static>
{
    on(options(group).retries(retries), move |delivery| {
        gate.tell(i64::from(delivery.max_attempts()));
        Box::pin(async { Err("again".into()) })
    })
}

#[tokio::test]
async fn the_options_of_the_higher_version_stand_for_all() {
    let db = TestDb::new().await;
    let (old, mut old_came) = Gate::new();
    let (new, _new_came) = Gate::new();
    let heard = Heard::default();
    let builder = heard.by(db.worker().await.version("1.10"));
    let new = Running::start(builder.register(tells("mixed", 1, new)));
    until_alive(&db, 1).await;
    let builder = heard.by(db.worker().await.version("1.9"));
    let old = Running::start(builder.register(tells("mixed", 7, old)));
    until_alive(&db, 2).await;
    let mixed: bool = db.value("SELECT mixed FROM vulkan.group_workers").await;
    assert!(mixed);
    // The old one hears of it when it starts, the new one with its next sign of life.
    for text in [
        "differ from 1.10: max_attempts: 8 here, 2 in the group",
        "1.9 beside [\"1.10\"]",
        "1.10 beside [\"1.9\"]",
    ] {
        until(text, || async { heard.any(text) }).await;
    }
    new.stop().await.unwrap();
    let offset = Publish::new("a").send(&db.pool).await;
    assert_eq!(old_came.take(2).await, [2, 2]);
    db.until_is("mixed", offset, "dead", 2).await;
    old.stop().await.unwrap();
}

#[tokio::test]
async fn options_changed_meanwhile_are_taken_over() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let running = Running::start(db.worker().await.register(tells("changes", 5, gate)));
    until_alive(&db, 1).await;
    db.run("SELECT vulkan.alter_group('orders', 'changes', max_attempts => 2)")
        .await;
    // With the next sign of life, within twelve seconds.
    let mut told = 0;
    while told != 2 {
        let offset = Publish::new("a").send(&db.pool).await;
        told = came.next().await;
        // What the database decides goes by the new options at once.
        db.until_is("changes", offset, "dead", 2).await;
        while !came.nothing_else() {}
    }
    running.stop().await.unwrap();
}
