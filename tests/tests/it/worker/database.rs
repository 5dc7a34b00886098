use std::collections::HashSet;
use std::time::{Duration, Instant};

use vulkan::{Client, HandlerOptions, Message, Rate, RunError, Worker, WorkerBuilder};
use vulkan_devpg::Postgres;

use super::support::{Gate, Running, on, options, until, waits_at};
use crate::support::{Publish, TestDb, within};

/// Longer than the longest thing that goes wrong, and shorter than the poll of these tests.
const SOON: Duration = Duration::from_secs(10);
/// A poll that comes too late to help.
const HARDLY_EVER: Duration = Duration::from_secs(600);

/// A worker that tells what it handles.
fn telling(builder: WorkerBuilder<()>, gate: &Gate) -> WorkerBuilder<()> {
    let gate = gate.clone();
    builder.register(on(options("away"), move |delivery| {
        gate.tell(delivery.offset());
        Box::pin(async { Ok(()) })
    }))
}

async fn bell_is_armed(db: &TestDb) {
    until("the bell to be armed", || async {
        db.value::<bool>(
            "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                 WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = 1459617794)",
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn a_publisher_wakes_an_idle_worker() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let builder = Worker::builder(db.client().await).poll(HARDLY_EVER);
    let running = Running::start(telling(builder, &gate));
    for _ in 0..5 {
        bell_is_armed(&db).await;
        let since = Instant::now();
        let offset = Publish::new("a").send(&db.pool).await;
        assert_eq!(came.next().await, offset);
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn polling_alone_finds_everything() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let builder = db.worker().await.listen(false);
    let running = Running::start(telling(builder, &gate));
    for _ in 0..3 {
        let offset = Publish::new("a").send(&db.pool).await;
        assert_eq!(came.next().await, offset);
    }
    let listeners: i64 = db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~* '^LISTEN'").await;
    assert_eq!(listeners, 0);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_delayed_message_wakes_an_idle_worker_when_its_time_has_come() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let builder = Worker::builder(db.client().await).poll(HARDLY_EVER);
    let running = Running::start(telling(builder, &gate));
    bell_is_armed(&db).await;
    let unkeyed = Publish::new("a").delayed(1.0).send(&db.pool).await;
    let keyed = Publish::keyed("k").delayed(0.5).send(&db.pool).await;
    assert_eq!((came.next().await, came.next().await), (keyed, unkeyed));
    running.stop().await.unwrap();
    let early: i64 = db
        .value("SELECT count(*) FROM vulkan.deliveries d JOIN vulkan.events e ON e.\"offset\" = d.event_offset WHERE d.updated_at < e.deliver_at")
        .await;
    assert_eq!(early, 0);
}

#[tokio::test]
async fn connections_that_are_terminated_are_replaced() {
    let db = TestDb::new().await;
    // What was claimed by a call that broke off comes back with its lease.
    let handler = on(options("away").lease(Duration::from_secs(1)), |_| {
        Box::pin(async { Ok(()) })
    });
    let running = Running::start(db.worker().await.register(handler));
    let mut published = 0;
    for _ in 0..5 {
        for _ in 0..20 {
            Publish::new("a").send(&db.pool).await;
            Publish::keyed("k").send(&db.pool).await;
            published += 2;
        }
        // All that are not the test's own, busy or not, the listener among them.
        db.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'vulkan'",
        )
        .await;
    }
    db.until_done("away", published).await;
    bell_is_armed(&db).await;
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn an_idle_worker_leaves_the_database_in_peace() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let builder = Worker::builder(db.client().await);
    let running = Running::start(telling(builder, &gate));
    let offset = Publish::new("a").send(&db.pool).await;
    assert_eq!(came.next().await, offset);
    bell_is_armed(&db).await;
    db.until_is("away", offset, "done", 1).await;

    let calls = calls_in_five_seconds(&db).await;
    // A look a second; a look for lost leases now and then.
    assert!(calls <= 12, "{calls} calls in five seconds");
    assert!(
        calls >= 2,
        "{calls} calls in five seconds: is anybody there?"
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_at_its_limits_leaves_the_database_in_peace() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = |options: HandlerOptions| {
        let gate = gate.clone();
        waits_at(&gate, options)
    };
    for n in 0..20 {
        Publish::keyed(&format!("t:{n}")).send(&db.pool).await;
        Publish::new("n").send(&db.pool).await;
    }
    let seldom = Rate::new(1, Duration::from_secs(3600));
    let builder = Worker::builder(db.client().await)
        .register(handler(options("one").max_in_flight(1)))
        .register(handler(
            options("each")
                .max_in_flight_per_prefix(1)
                .kinds(["order.created"]),
        ))
        .register(handler(options("paced").rate(seldom)));
    let running = Running::start(builder);
    came.take(3).await;
    until("what runs to have outlived its claim", || async {
        let open = "SELECT count(*) FROM vulkan.claims WHERE settled_at IS NULL";
        db.value::<i64>(open).await == 0
    })
    .await;
    let calls = calls_in_five_seconds(&db).await;
    // Three a second, and what comes along every few seconds: far from one for each message that waits.
    assert!(calls <= 30, "{calls} calls in five seconds");
    came.let_all_go();
    running.stop().await.unwrap();
}

/// Whatever the connections of workers begin in five seconds. (The statistics of the server are no help: they
/// come up to ten seconds late, and then with what the start has cost.)
async fn calls_in_five_seconds(db: &TestDb) -> usize {
    let mut calls = HashSet::new();
    let (begin, _) = begun(db).await;
    let mut now = begin;
    within("five seconds by the server's clock", async {
        while now - begin < 5.0 {
            let (then, seen) = begun(db).await;
            calls.extend(
                seen.into_iter()
                    .filter(|(_, at)| at.parse::<f64>().unwrap() > begin),
            );
            now = then;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    calls.len()
}

/// The server's clock, and what each connection of the worker began last, and when.
async fn begun(db: &TestDb) -> (f64, Vec<(i32, String)>) {
    let rows: Vec<(f64, i32, String)> = sqlx::query_as(
        "SELECT extract(epoch FROM clock_timestamp())::float8, pid, extract(epoch FROM query_start)::text
         FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vulkan'",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let now = rows.first().expect("a worker is connected").0;
    (
        now,
        rows.into_iter().map(|(_, pid, at)| (pid, at)).collect(),
    )
}

/// A cluster of its own with a migrated database, to be crashed.
async fn cluster() -> (Postgres, vulkan_devpg::TestDatabase, Client) {
    let postgres = Postgres::start_private(vulkan_devpg::FAST).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    (postgres, database, client)
}

/// How long this thread has run so far.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn message() -> Message {
    Message::new("orders", "a", &()).unwrap()
}

#[tokio::test]
async fn work_goes_on_when_the_server_is_back() {
    let (mut postgres, database, client) = cluster().await;
    let (gate, mut came) = Gate::new();
    let own = Client::connect(&database.url()).await.unwrap();
    let mut running = Running::start(telling(Worker::builder(own).poll(HARDLY_EVER), &gate));
    let offset = client.publish(message()).await.unwrap();
    assert_eq!(came.next().await, offset);

    postgres.crash().await.unwrap();
    // No busy loop: everything of this test runs on this thread, and that hardly runs at all.
    let busy = on_cpu();
    let while_away = tokio::time::timeout(Duration::from_secs(3), running.ended()).await;
    assert!(while_away.is_err(), "it ended: {while_away:?}");
    let busy = on_cpu() - busy;
    assert!(busy < Duration::from_millis(450), "{busy:?} of 3 s");
    postgres.restart().await.unwrap();

    let since = Instant::now();
    let offset = within("a publisher to come through", async {
        loop {
            if let Ok(offset) = client.publish(message()).await {
                return offset;
            }
        }
    })
    .await;
    within("the message", async {
        while came.next().await != offset {}
    })
    .await;
    assert!(since.elapsed() < 2 * SOON, "{:?}", since.elapsed());
    running.stop().await.unwrap();
    drop(database);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_reported_is_told_at_the_end() {
    let (mut postgres, database, client) = cluster().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("away"));
    let own = Client::connect(&database.url()).await.unwrap();
    client.publish(message()).await.unwrap();
    let running = Running::start(Worker::builder(own).register(handler));
    came.next().await;
    postgres.crash().await.unwrap();
    came.let_all_go();
    let since = Instant::now();
    let error = running.stop().await;
    assert!(
        matches!(error, Err(RunError::Unsettled { messages: 1 })),
        "{error:?}"
    );
    assert!(since.elapsed() < 2 * SOON, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_worker_waits_for_a_database_that_is_away() {
    let (mut postgres, database, client) = cluster().await;
    let (gate, mut came) = Gate::new();
    let offset = client.publish(message()).await.unwrap();
    postgres.crash().await.unwrap();
    let own = Client::connect(&database.url()).await.unwrap();
    let running = Running::start(telling(Worker::builder(own), &gate));
    tokio::task::yield_now().await;
    postgres.restart().await.unwrap();
    assert_eq!(came.next().await, offset);
    running.stop().await.unwrap();
}
