use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use vulkan::{Client, HandlerOptions, Worker, WorkerEvent};
use vulkan_devpg::Postgres;

use super::support::{Running, on, until};
use crate::support::TestDb;

async fn problems(client: &Client) -> Vec<String> {
    let found = client.doctor().await.unwrap();
    found.into_iter().map(|one| one.problem).collect()
}

/// Changes a setting of the whole server.
async fn set(client: &Client, setting: &str) {
    for sql in [
        format!("ALTER SYSTEM SET {setting}"),
        "SELECT pg_reload_conf()".to_owned(),
    ] {
        let sql = AssertSqlSafe(sql);
        sqlx::query(sql).execute(client.pool()).await.unwrap();
    }
}

/// As PostgreSQL comes, nothing is wrong; without durability it says so, and workers do.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_is_told_of() {
    let postgres = Postgres::start_private(&[]).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let url = database.url();
    let client = Client::connect(&url).await.unwrap();
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    assert_eq!(problems(&client).await, [""; 0]);

    for (setting, told) in [
        ("full_page_writes = off", vec!["full_page_writes"]),
        ("autovacuum = off", vec!["full_page_writes", "autovacuum"]),
        // For one of both alone nobody waits.
        (
            "synchronous_commit = local",
            vec!["full_page_writes", "autovacuum"],
        ),
        (
            "synchronous_standby_names = 'elsewhere'",
            vec!["full_page_writes", "synchronous_commit", "autovacuum"],
        ),
    ] {
        set(&client, setting).await;
        until(setting, || async { problems(&client).await == told }).await;
    }
    let found = client.doctor().await.unwrap();
    let dangers: Vec<bool> = found.iter().map(|one| one.is_danger).collect();
    assert_eq!(dangers, [true, false, false], "{found:?}");
    sqlx::query("ALTER SYSTEM RESET ALL")
        .execute(client.pool())
        .await
        .unwrap();

    for setting in ["fsync = off", "synchronous_commit = off"] {
        set(&client, setting).await;
    }
    until("both to be told", || async {
        problems(&client).await == ["fsync", "synchronous_commit"]
    })
    .await;

    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let handler = on(HandlerOptions::new("orders", "a"), |_| {
        Box::pin(async { Ok(()) })
    });
    let builder = Worker::builder(Client::connect(&url).await.unwrap())
        .register(handler)
        .poll(Duration::from_millis(50))
        .on_event(move |event| {
            if let WorkerEvent::Diagnosed { diagnosis, .. } = event {
                let told = (diagnosis.problem.clone(), diagnosis.is_danger);
                heard.lock().unwrap().push(told);
            }
        });
    let running = Running::start(builder);
    until("the worker to tell", || async {
        *told.lock().unwrap()
            == [
                ("fsync".to_owned(), true),
                ("synchronous_commit".to_owned(), true),
            ]
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_and_publishers_rely_on_is_looked_at() {
    let db = TestDb::new().await;
    // The server of the tests is not durable, and says so.
    let before = problems(&db.client().await).await;
    for (sql, problem) in [
        ("ALTER SEQUENCE vulkan.offset_seq CACHE 20", "offset_seq"),
        ("ALTER SEQUENCE vulkan.offset_seq CACHE 1", ""),
        ("ALTER SEQUENCE vulkan.offset_seq INCREMENT 2", "offset_seq"),
        ("ALTER SEQUENCE vulkan.offset_seq INCREMENT 1", ""),
        (
            "CREATE TABLE vulkan.any PARTITION OF vulkan.events_1 DEFAULT",
            "default partition",
        ),
        ("DROP TABLE vulkan.any", ""),
        (
            "SELECT setval('vulkan.offset_seq', 999 * 1000000000::bigint)",
            "partitions",
        ),
        ("SELECT vulkan.maintain()", ""),
    ] {
        db.run(sql).await;
        assert_eq!(new(&db, &before).await, problem, "{sql}");
    }
    // What a build that failed leaves.
    db.run("SELECT vulkan.create_stream('more')").await;
    let failed = "CREATE UNIQUE INDEX CONCURRENTLY broken ON vulkan.streams ((1))";
    assert_eq!(db.code(failed).await, "23505");
    assert_eq!(new(&db, &before).await, "index");
    // Whoever has the schema in the path, or not, can paste the remedy.
    let remedy = "SELECT remedy FROM vulkan.doctor() WHERE problem = 'index'";
    let mut session = db.pool.acquire().await.unwrap();
    for path in ["SET search_path = vulkan", "RESET search_path"] {
        does(&mut session, path).await;
        let remedy: String = sqlx::query_scalar(remedy)
            .fetch_one(&mut *session)
            .await
            .unwrap();
        assert_eq!(remedy, "REINDEX INDEX CONCURRENTLY vulkan.broken;");
    }
}

/// What is told that was not told before.
async fn new(db: &TestDb, before: &[String]) -> String {
    let mut now = problems(&db.client().await).await;
    now.retain(|problem| !before.contains(problem));
    now.join(" ")
}

/// The transactions that it tells of, were all of them old.
async fn old(pool: &PgPool) -> Vec<String> {
    let sql = "SELECT problem FROM vulkan.doctor(old_transaction => '0 s')";
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

async fn does(session: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(session).await.unwrap();
}

/// Only what keeps dead rows in this database: a snapshot here, or a transaction anywhere that has written.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_transaction_is_told_of_if_it_does_harm() {
    let postgres = Postgres::start_private(&[("max_prepared_transactions", "2")])
        .await
        .unwrap();
    let (database, other) = tokio::join!(postgres.create_database(), postgres.create_database());
    let (database, other) = (database.unwrap(), other.unwrap());
    let client = Client::connect(&database.url()).await.unwrap();
    client.migrate().await.unwrap();
    let pool = client.pool();
    let mut here = PgConnection::connect(&database.url()).await.unwrap();
    let mut there = PgConnection::connect(&other.url()).await.unwrap();
    let none = [""; 0];
    assert_eq!(old(pool).await, none);

    // Idle between two statements it has no snapshot; and one of another database is nothing to this one.
    does(&mut here, "BEGIN; SELECT count(*) FROM pg_class").await;
    let snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class";
    does(&mut there, snapshot).await;
    assert_eq!(old(pool).await, none);
    does(&mut here, "COMMIT").await;
    // It writes: the snapshots of this database begin at it, too.
    let writer: i64 = sqlx::query_scalar("SELECT txid_current()")
        .fetch_one(&mut there)
        .await
        .unwrap();
    let horizon: i64 = sqlx::query_scalar("SELECT txid_snapshot_xmin(txid_current_snapshot())")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(horizon, writer);
    assert_eq!(old(pool).await, ["old transaction"]);
    let others = "SELECT detail FROM vulkan.doctor('0 s')";
    let detail: String = sqlx::query_scalar(others).fetch_one(pool).await.unwrap();
    assert!(detail.contains(other.name()), "{detail}");
    // Not yet, by the time that it is given else.
    assert_eq!(problems(&client).await, none);
    does(&mut there, "COMMIT").await;
    assert_eq!(old(pool).await, none);

    does(&mut here, snapshot).await;
    assert_eq!(old(pool).await, ["old transaction"]);
    // Who may not see how long it lasts sees it when many others have come and gone meanwhile.
    does(
        &mut there,
        "CREATE ROLE looks LOGIN; CREATE TABLE busy (n integer)",
    )
    .await;
    let sql = "GRANT USAGE ON SCHEMA vulkan TO looks; GRANT SELECT ON ALL TABLES IN SCHEMA vulkan TO looks;
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA vulkan TO looks; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA vulkan TO looks";
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
    let looks = database.connect_options().username("looks");
    let looks = PgPool::connect_with(looks).await.unwrap();
    assert_eq!(old(&looks).await, none);
    let many = "DO $$ BEGIN FOR n IN 1 .. 100100 LOOP
        BEGIN INSERT INTO busy VALUES (n); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$";
    does(&mut there, many).await;
    assert_eq!(old(&looks).await, ["old transaction"]);
    does(&mut here, "COMMIT").await;
    assert_eq!(old(&looks).await, none);

    does(
        &mut there,
        "BEGIN; INSERT INTO busy VALUES (1); PREPARE TRANSACTION 'forgotten'",
    )
    .await;
    assert_eq!(old(&looks).await, ["prepared transaction"]);
    does(&mut there, "ROLLBACK PREPARED 'forgotten'").await;
    assert_eq!(old(&looks).await, none);
}
