//! What `vulkan.check()` notices: each of its rules is broken by hand, and named.

use serde_json::json;
use sqlx::Connection;

use crate::support::{Group, Publish, Settlement, TestDb};

/// A statement that breaks the tables, and what check() has to say: the number of the invariant, and a part of the text.
const BROKEN: [(&str, i32, &str); 42] = [
    ("DELETE FROM vulkan.claims", 1, "the group has no cursor"),
    (
        "UPDATE vulkan.claims SET lo = lo + 1 WHERE hi = vulkan.cursor_of(group_id)",
        1,
        "does not begin where the one before ends",
    ),
    // As if it had been committed when the cursor had passed.
    (
        "DELETE FROM vulkan.exceptions WHERE \"offset\" = 1; UPDATE vulkan.claims SET messages = 0 WHERE settled_at IS NOT NULL",
        1,
        "some were passed over",
    ),
    (
        "UPDATE vulkan.claims SET origin = 'pass' WHERE settled_at IS NULL",
        1,
        "is open, and its origin is pass",
    ),
    (
        "DELETE FROM vulkan.lanes WHERE key_hash = hashtextextended('a', 0)",
        1,
        "message 2 waits for a lane that does not exist",
    ),
    (
        "INSERT INTO vulkan.exceptions (group_id, \"offset\", status, attempts, token) VALUES (1, 8, 'ready', 0, 1)",
        1,
        "message 8 has status ready above the cursor",
    ),
    (
        "INSERT INTO vulkan.checkpoints (group_id, \"offset\", value) VALUES (1, 8, '1')",
        1,
        "message 8 has a checkpoint above the cursor",
    ),
    (
        "UPDATE vulkan.exceptions SET lane = NULL WHERE \"offset\" = 2",
        1,
        "message 2 with partition key 'a' has lane",
    ),
    (
        "UPDATE vulkan.exceptions SET lane = 7 WHERE \"offset\" = 1",
        1,
        "message 1 with partition key NULL has lane 7",
    ),
    (
        "INSERT INTO vulkan.exceptions (group_id, \"offset\", status, attempts, token) VALUES (1, 0, 'ready', 0, 1)",
        1,
        "message 0 is ready, and the log has no such event",
    ),
    (
        "INSERT INTO vulkan.lanes (group_id, key_hash, prefix_hash, head, through, status, token) VALUES (1, 7, 7, 1, 1, 'ready', 1)",
        1,
        "lane 7 is ready with nothing pending above 1",
    ),
    (
        "INSERT INTO vulkan.keys (group_id, key_hash, prefix_hash, head, through, status, token)
         SELECT group_id, key_hash, prefix_hash, head, through, 'drained', 1 FROM vulkan.lanes WHERE status = 'ready'",
        1,
        "has 2 rows, 1 of them lanes",
    ),
    (
        "INSERT INTO vulkan.keys (group_id, key_hash, prefix_hash, head, through, status, token)
         SELECT group_id, key_hash, prefix_hash, head, through, 'ready', 1 FROM vulkan.lanes WHERE status = 'ready'",
        1,
        "message 3 is in 2 places: ready, ready",
    ),
    (
        "DELETE FROM vulkan.claims WHERE hi = 6",
        1,
        "message 5 is in no place",
    ),
    (
        "INSERT INTO vulkan.cancel_requests (group_id, \"offset\", token) VALUES (1, 1, 1)",
        1,
        "message 1 was asked to stop, and waits to be handed out",
    ),
    (
        "UPDATE vulkan.exceptions SET token = 1000000 WHERE \"offset\" = 1",
        1,
        "message 1 has token 1000000, above the newest",
    ),
    (
        "UPDATE vulkan.claims SET token = 1000000 WHERE hi = 6",
        1,
        "claim (0, 6] has token 1000000, above the newest",
    ),
    (
        "UPDATE vulkan.lanes SET token = 1000000",
        1,
        "has token 1000000, above the newest",
    ),
    (
        "UPDATE vulkan.claims SET hi = 1000 WHERE hi = 7",
        2,
        "cursor 1000 is above the newest offset",
    ),
    (
        "INSERT INTO vulkan.events (\"offset\", stream_id, kind, payload) VALUES (1000, 1, 'n', '{}')",
        2,
        "event 1000 is above the newest offset",
    ),
    (
        "UPDATE vulkan.lanes SET through = 100 WHERE key_hash = hashtextextended('a', 0)",
        3,
        "reaches above the cursor",
    ),
    (
        "UPDATE vulkan.exceptions SET status = 'processing', lease_until = now() WHERE \"offset\" = 2",
        3,
        "keyed message 2 is in work outside its lane",
    ),
    (
        "UPDATE vulkan.lanes SET head = 2 WHERE key_hash = hashtextextended('a', 0)",
        3,
        "message 2 is ready behind its lane",
    ),
    (
        "UPDATE vulkan.lanes SET straggler = 2 WHERE key_hash = hashtextextended('a', 0)",
        3,
        "is ready, and has handed out message 2",
    ),
    (
        "INSERT INTO vulkan.runs (group_id, key_hash, lo, hi, claimed_at, worker) VALUES (1, 7, 0, 5, now(), 'w'), (1, 7, 4, 6, now(), 'w')",
        3,
        "overlap",
    ),
    (
        "UPDATE vulkan.exceptions SET attempts = 4 WHERE \"offset\" = 1",
        4,
        "message 1 is ready after 4 of 3 attempts",
    ),
    (
        "UPDATE vulkan.exceptions SET attempts = 3 WHERE \"offset\" = 1",
        4,
        "message 1 is ready after 3 of 3 attempts",
    ),
    (
        "UPDATE vulkan.exceptions SET attempts = 0 WHERE \"offset\" = 4",
        4,
        "message 4 is processing after 0 of 3 attempts",
    ),
    (
        "UPDATE vulkan.lanes SET status = 'blocked' WHERE key_hash = hashtextextended('a', 0)",
        5,
        "by nothing",
    ),
    (
        "UPDATE vulkan.lanes SET run_at = '2999-01-01' WHERE key_hash = hashtextextended('a', 0)",
        5,
        "and its next message, 2, is due at",
    ),
    (
        "UPDATE vulkan.lanes SET status = 'parked' WHERE key_hash = hashtextextended('a', 0)",
        9,
        "are parked while 0 of",
    ),
    (
        "UPDATE vulkan.lanes SET held = 0",
        9,
        "2 messages are processing, and 1 are counted",
    ),
    (
        "INSERT INTO vulkan.dedup VALUES (1, 'twice', 1000, now() + interval '1 hour')",
        7,
        "dedup id 'twice' stands for event 1000, which is not there",
    ),
    (
        "UPDATE vulkan.schedules SET last_at = next_at",
        10,
        "the next tick of schedule \"hourly\"",
    ),
    (
        "ALTER TABLE vulkan.events_1 DISABLE TRIGGER before",
        11,
        "vulkan.events_1 does not announce what is loaded into it",
    ),
    (
        "ALTER SEQUENCE vulkan.offset_seq CACHE 10",
        11,
        "vulkan.offset_seq has CACHE 10 and INCREMENT 1",
    ),
    (
        "ALTER TABLE vulkan.events_1 DETACH PARTITION vulkan.events_1_0; DROP TABLE vulkan.events_1_0",
        11,
        "the stream has no partition for slot 0",
    ),
    (
        "CREATE TABLE vulkan.whatever PARTITION OF vulkan.events_1 DEFAULT",
        11,
        "vulkan.events_1 has a DEFAULT partition",
    ),
    (
        "DELETE FROM vulkan.bindings",
        12,
        "no binding for the beginning of its stream",
    ),
    (
        "UPDATE vulkan.groups SET unfiltered = false",
        12,
        "unfiltered is f, and the group has 0 bindings",
    ),
    (
        "UPDATE vulkan.groups SET prefix_limits = true",
        12,
        "prefix_limits is t, which its table does not bear out",
    ),
    (
        "UPDATE vulkan.groups SET breaker = true",
        12,
        "breaker is t, which its table does not bear out",
    ),
];

/// A group in the midst of its work: 1 waits for its retry, 2 does and holds back 3 of its key, 4 runs on, 5 is done, the key of
/// 6 is in work, and 8 is above the cursor.
async fn busy(db: &TestDb) -> Group {
    let group = db.group("g").await.with("max_attempts = 3").await;
    let schedule =
        "SELECT vulkan.put_schedule('hourly', 'orders', 'tick', '{}', every => '1 hour')";
    sqlx::query(schedule).execute(&db.pool).await.unwrap();
    for key in ["", "a", "a", "", "b", "c"] {
        let event = match key {
            "" => Publish::new("n"),
            key => Publish::keyed(key),
        };
        event.send(&db.pool).await;
    }
    let messages = group.claim().await;
    assert_eq!(messages.len(), 6);
    let settlement = Settlement::closing(&messages)
        .item_after(&messages[0], "retry", Some(3600.0))
        .item_after(&messages[1], "retry", Some(3600.0))
        .item(&messages[3], "running")
        .item(&messages[4], "done")
        .item(&messages[5], "done");
    group.settle(&settlement).await;
    Publish::keyed("c").send(&db.pool).await;
    assert_eq!(group.claim().await.len(), 1);
    let headers = json!({"region": "eu"});
    Publish::new("n").headers(headers).send(&db.pool).await;
    db.check().await;
    group
}

#[tokio::test]
async fn each_rule_that_is_broken_is_named() {
    let db = TestDb::new().await;
    busy(&db).await;
    let mut connection = db.connect().await;
    for (breaking, invariant, text) in BROKEN {
        let mut transaction = connection.begin().await.unwrap();
        sqlx::raw_sql(breaking)
            .execute(&mut *transaction)
            .await
            .unwrap_or_else(|error| panic!("{breaking}: {error}"));
        let found: Vec<(i32, String)> =
            sqlx::query_as("SELECT invariant, detail FROM vulkan.check()")
                .fetch_all(&mut *transaction)
                .await
                .unwrap_or_else(|error| panic!("{breaking}: {error}"));
        let named = found
            .iter()
            .any(|(number, detail)| *number == invariant && detail.contains(text));
        assert!(named, "{breaking} should give {text}, and gives {found:?}");
        transaction.rollback().await.unwrap();
    }
    db.check().await;
}

/// Every sentence of check() is one of those above.
#[tokio::test]
async fn no_rule_goes_without_a_test() {
    let db = TestDb::new().await;
    let source: String = db
        .value(
            "SELECT string_agg(prosrc, '') FROM pg_proc
             WHERE oid IN ('vulkan.check'::regproc, 'vulkan.check_group'::regproc)",
        )
        .await;
    let rules = source.matches("SELECT 1 AS invariant").count()
        + (1..=12)
            .map(|number| source.matches(&format!("SELECT {number}, ")).count())
            .sum::<usize>();
    // Some are broken in more ways than one: lane, key; retry, overrun, attempts; message, claim and lane; two flags.
    assert_eq!(
        rules + 6,
        BROKEN.len(),
        "a rule was added or taken away: break it above"
    );
}

/// As in production: by a role that must not write, beside everything else.
#[tokio::test]
async fn checking_changes_nothing() {
    let db = TestDb::new().await;
    busy(&db).await;
    let mut connection = db.connect().await;
    sqlx::raw_sql("BEGIN READ ONLY")
        .execute(&mut connection)
        .await
        .unwrap();
    let violations: i64 = sqlx::query_scalar("SELECT count(*) FROM vulkan.check()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(violations, 0);
    let locks: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype IN ('relation', 'advisory')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(locks, ["AccessShareLock"]);
}

/// A log of years is not read for a look at what happens today.
#[tokio::test]
async fn checking_is_bounded() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    for _ in 0..20 {
        Publish::new("n").send(&db.pool).await;
        let message = group.claim_one().await;
        group.done(&[message]).await;
    }
    db.run("UPDATE vulkan.claims SET lo = lo - 1 WHERE hi = 3")
        .await;
    let all: i64 = db.value("SELECT count(*) FROM vulkan.check(NULL)").await;
    let newest: i64 = db.value("SELECT count(*) FROM vulkan.check(10)").await;
    assert!(all > 0);
    assert_eq!(newest, 0);
    db.run("UPDATE vulkan.claims SET lo = lo - 1 WHERE hi = 17")
        .await;
    let newest: i64 = db.value("SELECT count(*) FROM vulkan.check(10)").await;
    assert!(newest > 0);
}
