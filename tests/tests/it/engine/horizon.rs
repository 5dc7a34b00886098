use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::support::{Group, Publish, TestDb, within};

const WRITERS: u64 = 8;
const TRANSACTIONS: usize = 400;

/// Offsets are drawn before the commit, so commits come out of order. A reader that goes by the
/// highest offset it sees loses events here, and so does one that goes by transaction ids.
#[tokio::test(flavor = "multi_thread")]
async fn no_reader_skips_repeats_or_reorders_under_hostile_commits() {
    let db = Arc::new(TestDb::new().await);
    db.run("CREATE TABLE business (n bigint)").await;
    let group = db.group("audit").await;
    let finished = Arc::new(AtomicBool::new(false));

    let mut readers = JoinSet::new();
    for _ in 0..2 {
        readers.spawn(read_pages(db.connect().await, finished.clone()));
    }
    readers.spawn(claim_all(group, finished.clone()));

    let mut writers = JoinSet::new();
    for seed in 0..WRITERS {
        writers.spawn(write(db.connect().await, seed));
    }
    let mut committed: Vec<i64> = within("the writers", writers.join_all())
        .await
        .into_iter()
        .flatten()
        .collect();
    committed.sort_unstable();
    finished.store(true, SeqCst);

    for seen in within("the readers", readers.join_all()).await {
        let missing: Vec<_> = committed
            .iter()
            .filter(|offset| seen.binary_search(offset).is_err())
            .collect();
        assert!(missing.is_empty(), "skipped: {missing:?}");
        assert!(seen == committed, "out of order, twice, or rolled back");
    }
    assert!(committed[0] < 1_000_000_000 && committed[committed.len() - 1] > 1_000_000_000);
    db.check().await;
}

/// Publishes in transactions of every unpleasant shape; returns what was committed.
async fn write(mut connection: PgConnection, seed: u64) -> Vec<i64> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut committed = Vec::new();
    for nth in 0..TRANSACTIONS {
        if seed == 0 && nth == TRANSACTIONS / 2 {
            let sql = "SELECT vulkan.roll_slot()";
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
        let mut open = connection.begin().await.unwrap();
        let mut mine = Vec::new();
        if rng.random_bool(0.5) {
            // An old transaction id, long before the offset.
            let business = "INSERT INTO business VALUES (1)";
            sqlx::query(business).execute(&mut *open).await.unwrap();
            linger(&mut rng, 2).await;
        }
        for _ in 0..rng.random_range(1..4) {
            let savepoint = rng.random_bool(0.2);
            let undone = savepoint && rng.random_bool(0.5);
            if savepoint {
                let sql = "SAVEPOINT s";
                sqlx::query(sql).execute(&mut *open).await.unwrap();
            }
            let offset = Publish::new("n").send(&mut *open).await;
            if undone {
                let sql = "ROLLBACK TO SAVEPOINT s";
                sqlx::query(sql).execute(&mut *open).await.unwrap();
            } else {
                mine.push(offset);
            }
        }
        if rng.random_bool(0.3) {
            linger(&mut rng, 8).await;
        }
        if rng.random_bool(0.15) {
            open.rollback().await.unwrap();
        } else {
            open.commit().await.unwrap();
            committed.append(&mut mine);
        }
    }
    committed
}

/// Holds a transaction open: the one thing here that has to take time.
async fn linger(rng: &mut StdRng, at_most: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..=at_most))).await;
}

/// Reads page by page until the writers are done and nothing is left.
async fn read_pages(mut connection: PgConnection, finished: Arc<AtomicBool>) -> Vec<i64> {
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let last_look = finished.load(SeqCst);
        let page: Vec<(i64, Option<i64>)> = sqlx::query_as(
            "SELECT up_to, \"offset\" FROM vulkan.read_events(vulkan.stream_id('orders'), $1, 50)",
        )
        .bind(after)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        match page.last() {
            Some((up_to, _)) => after = *up_to,
            None if last_look => return seen,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        seen.extend(page.into_iter().filter_map(|(_, offset)| offset));
    }
}

/// The same through a lifecycle group.
async fn claim_all(group: Group, finished: Arc<AtomicBool>) -> Vec<i64> {
    let mut seen = Vec::new();
    loop {
        let last_look = finished.load(SeqCst);
        let messages = group.claim_as("reader", 50).await;
        if messages.is_empty() {
            if last_look {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        seen.extend(messages.iter().map(|message| message.offset));
        group.done(&messages).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_publishes_nothing_here_stalls_nobody() {
    let db = TestDb::new().await;
    db.run("SELECT vulkan.create_stream('payments'); CREATE TABLE business (n bigint)")
        .await;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO business VALUES (1)")
        .execute(&mut *open)
        .await
        .unwrap();
    Publish::new("n").to("payments").send(&mut *open).await;

    let offset = Publish::new("n").send(&db.pool).await;
    assert_eq!(db.group("audit").await.claim_one().await.offset, offset);
    open.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_publisher_holds_the_horizon_and_is_named() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let before = Publish::new("n").send(&db.pool).await;
    let mut open = db.pool.begin().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *open)
        .await
        .unwrap();
    let held = Publish::new("n").send(&mut *open).await;
    let behind = Publish::new("n").send(&db.pool).await;

    assert_eq!(group.claim_one().await.offset, before);
    assert!(group.claim().await.is_empty());
    let holder: (String, i64, i32, bool, String) =
        sqlx::query_as("SELECT stream, floor, pid, age >= '0', query FROM vulkan.lso_holders")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    assert_eq!(
        (holder.0.as_str(), holder.2, holder.3),
        ("orders", pid, true)
    );
    assert!(holder.1 >= before && holder.1 < held, "{holder:?}");
    assert!(holder.4.contains("vulkan.publish"), "{holder:?}");
    let named: Vec<i32> = db
        .value("SELECT lso_held_by FROM vulkan.group_overview")
        .await;
    assert_eq!(named, [pid]);

    open.commit().await.unwrap();
    assert_eq!(
        group
            .claim()
            .await
            .iter()
            .map(|m| m.offset)
            .collect::<Vec<_>>(),
        [held, behind]
    );
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.lso_holders")
            .await,
        0
    );
}

/// A floor travels in the 40 low bits of a lock's key, 8 of them beside the stream's id.
#[tokio::test(flavor = "multi_thread")]
async fn floors_are_unwrapped_across_every_power_of_two() {
    let db = TestDb::new().await;
    for power in [31_u32, 32, 40, 41] {
        let boundary = 1_i64 << power;
        let slot = boundary / 1_000_000_000;
        sqlx::query("SELECT vulkan.ensure_partitions(vulkan.stream_id('orders'), $1)")
            .bind(slot + 1)
            .execute(&db.pool)
            .await
            .unwrap();
        sqlx::query("SELECT setval('vulkan.offset_seq', $1, true)")
            .bind(boundary - 2)
            .execute(&db.pool)
            .await
            .unwrap();
        let mut publishers = Vec::new();
        let mut floor = boundary - 2;
        for _ in 0..4 {
            let mut open = db.pool.begin().await.unwrap();
            let offset = Publish::new("n").send(&mut *open).await;
            assert_eq!(offset, floor + 1);
            publishers.push((floor, open));
            floor = offset;
        }
        // The lowest goes first, and the horizon follows.
        for (floor, open) in publishers {
            assert_eq!(db.value::<i64>("SELECT vulkan.lso('orders')").await, floor);
            open.commit().await.unwrap();
        }
        assert_eq!(db.value::<i64>("SELECT vulkan.lso('orders')").await, floor);
    }
}

/// Between the reading of the sequence and that of the floors a publisher may come whose floor
/// is above what was read.
#[tokio::test(flavor = "multi_thread")]
async fn a_floor_above_the_sequence_as_read_is_no_floor_far_below() {
    let db = TestDb::new().await;
    let read_before = Publish::new("n").send(&db.pool).await;
    let floor = Publish::new("n").send(&db.pool).await;
    let mut open = db.pool.begin().await.unwrap();
    Publish::new("n").send(&mut *open).await;
    let found: Vec<i64> =
        sqlx::query_scalar("SELECT floor FROM vulkan.floors(vulkan.stream_id('orders'), $1)")
            .bind(read_before)
            .fetch_all(&db.pool)
            .await
            .unwrap();
    assert_eq!(found, [floor]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_snapshot_is_refused() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for isolation in ["repeatable read", "serializable"] {
        for sql in [
            "SELECT vulkan.lso('orders')",
            "SELECT vulkan.claim(1, 'w')",
            "SELECT vulkan.read_events(1, 0)",
            "SELECT vulkan.replay('orders', 'audit', to_position => 'latest')",
        ] {
            assert_eq!(group.id, 1);
            let mut open = db.pool.begin().await.unwrap();
            let level = match isolation {
                "serializable" => "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                _ => "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            };
            sqlx::query(level).execute(&mut *open).await.unwrap();
            let error = sqlx::query(sql).execute(&mut *open).await.expect_err(sql);
            let error = error.into_database_error().unwrap();
            assert_eq!(error.code().as_deref(), Some("VK004"), "{sql}: {error}");
            assert!(error.message().contains(isolation), "{error}");
            open.rollback().await.unwrap();
        }
    }
}
