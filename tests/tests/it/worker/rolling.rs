use std::collections::{HashMap, VecDeque};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::support::until;
use crate::support::{Publish, TestDb, within};

/// Handled one by one, in batches, and in transactions of the database.
const GROUPS: [&str; 3] = ["rolling", "rolling-batches", "rolling-transactions"];
/// Processes at a time.
const FLEET: usize = 4;
const GRACE: Duration = Duration::from_millis(700);
/// How long a process may take to end beyond its grace period.
const MARGIN: Duration = Duration::from_secs(1);

/// How many are replaced: `VULKAN_TEST_ROLLS`, or enough to see it.
fn rolls() -> usize {
    match std::env::var("VULKAN_TEST_ROLLS") {
        Ok(rolls) => rolls.parse().expect("VULKAN_TEST_ROLLS is a number"),
        Err(_) => 100,
    }
}

/// What the processes said: which messages they began and ended, with the attempt.
#[derive(Default)]
struct Said {
    begun: HashMap<i64, Vec<i32>>,
    ended: HashMap<i64, Vec<i32>>,
}

struct Process {
    child: Child,
    reading: JoinHandle<()>,
    up: tokio::sync::watch::Receiver<bool>,
}

impl Process {
    fn start(url: &str, version: usize, said: Arc<Mutex<Said>>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rolling-worker"))
            .args([url, &format!("1.{version}"), &GRACE.as_millis().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, up) = tokio::sync::watch::channel(false);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["up"] => _ = tell.send(true),
                    [what, offset, attempt] => {
                        let mut said = said.lock().unwrap();
                        let said = if what == "begin" {
                            &mut said.begun
                        } else {
                            &mut said.ended
                        };
                        let attempts = said.entry(offset.parse().unwrap()).or_default();
                        attempts.push(attempt.parse().unwrap());
                    }
                    _ => panic!("{line}"),
                }
            }
        });
        Self { child, reading, up }
    }

    /// Waits until a signal asks it to stop, instead of killing it.
    async fn is_up(&mut self) {
        let up = self.up.wait_for(|up| *up);
        within("a process to be up", up).await.unwrap();
    }

    /// Asks it to stop, and waits until it has ended. How long that took, and its exit code.
    async fn terminate(mut self) -> (Duration, i32) {
        let kill = format!("kill -TERM {}", self.child.id().unwrap());
        let since = Instant::now();
        let sent = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(sent.unwrap().success(), "{kill}");
        let status = within("the process to end", self.child.wait())
            .await
            .unwrap();
        let took = since.elapsed();
        within("the last of its words", self.reading).await.unwrap();
        (took, status.code().expect("no signal ends it"))
    }
}

/// Publishes without pause until told to stop. Most messages are short; some outlast
/// the grace period. A third has one of ten keys; half of the long ones, and the short ones behind them, have one
/// of three more. Returns how many there are, and how many of them are handled in transactions.
async fn publish(pool: PgPool, enough: Arc<AtomicBool>) -> (usize, usize) {
    let mut rng = StdRng::seed_from_u64(7);
    let (mut published, mut booked) = (0, 0);
    while !enough.load(Ordering::Relaxed) {
        let mut tx = pool.begin().await.unwrap();
        for _ in 0..25 {
            let kind = match rng.random_range(0..10) {
                0 => "book",
                1 | 2 => "some",
                _ => "one",
            };
            // So rare are transactions that of theirs more are long.
            let long = rng.random_bool(if kind == "book" { 0.03 } else { 0.005 });
            let millis: u64 = if long { 1_500 } else { rng.random_range(1..30) };
            booked += usize::from(kind == "book");
            let slow = rng.random_bool(if long { 0.5 } else { 0.01 });
            let key = match (slow, long) {
                (true, _) => Some(format!("slow{}", rng.random_range(0..3))),
                (false, true) => None,
                (false, false) => rng
                    .random_bool(0.3)
                    .then(|| format!("k{}", rng.random_range(0..10))),
            };
            let mut event = Publish::new(kind).payload(json!(millis));
            if let Some(key) = key {
                event = event.key(&key);
            }
            event.send(&mut *tx).await;
            published += 1;
        }
        tx.commit().await.unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    (published, booked)
}

/// A rolling deploy under load, over and over: nothing that had finished is handled again, no attempt
/// is spent on what is given back, and each process ends in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_replaced_under_load_repeat_nothing_that_had_finished() {
    let db = TestDb::new().await;
    db.run("CREATE TABLE effects (message bigint)").await;
    let said = Arc::new(Mutex::new(Said::default()));
    let enough = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn(publish(db.pool.clone(), Arc::clone(&enough)));
    let mut rng = StdRng::seed_from_u64(rand::random());
    let mut fleet = VecDeque::new();
    let mut ending = Vec::new();
    for version in 0..rolls() + FLEET {
        let mut next = Process::start(&db.url(), version, Arc::clone(&said));
        next.is_up().await;
        fleet.push_back(next);
        if fleet.len() > FLEET {
            // At any moment of its work.
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..100))).await;
            ending.push(tokio::spawn(fleet.pop_front().unwrap().terminate()));
        }
    }
    let mut ends = Vec::new();
    for end in ending {
        ends.push(end.await.unwrap());
    }
    enough.store(true, Ordering::Relaxed);
    let (published, booked) = publishing.await.unwrap();
    until("everything to be handled", || async {
        db.value::<bool>("SELECT bool_and(vulkan.is_drained('orders', name)) FROM vulkan.groups")
            .await
    })
    .await;
    for process in fleet {
        ends.push(process.terminate().await);
    }

    let slowest = ends.iter().map(|(took, _)| *took).max().unwrap();
    let cut_off = ends.iter().filter(|(_, code)| *code == 3).count();
    println!(
        "{} ends, {cut_off} with messages cut off, the slowest after {slowest:?}; {published} messages",
        ends.len()
    );
    assert!(
        ends.iter().all(|(_, code)| matches!(code, 0 | 3)),
        "{ends:?}"
    );
    assert!(slowest <= GRACE + MARGIN, "{slowest:?}");

    let said = std::mem::take(&mut *said.lock().unwrap());
    let repeated: Vec<_> = said
        .ended
        .iter()
        .filter(|(_, ends)| ends.len() > 1)
        .collect();
    assert!(
        repeated.is_empty(),
        "handled again after their end: {repeated:?}"
    );
    let effects: [i64; 2] = [
        db.value("SELECT count(*) FROM effects").await,
        db.value("SELECT count(DISTINCT message) FROM effects")
            .await,
    ];
    assert_eq!(effects, [i64::try_from(booked).unwrap(); 2]);
    assert_eq!(said.ended.len() + booked, published);
    let spent: Vec<_> = said
        .begun
        .iter()
        .filter(|(_, attempts)| attempts.iter().any(|attempt| *attempt != 1))
        .collect();
    assert!(spent.is_empty(), "attempts were spent: {spent:?}");
    // It was no easy ride: of several groups, and of keys, some were cut off and begun again.
    let again = said.begun.iter().filter(|(_, attempts)| attempts.len() > 1);
    let again: Vec<i64> = again.map(|(offset, _)| *offset).collect();
    let of_groups_and_keys: (i64, i64) = sqlx::query_as(
        r#"SELECT count(DISTINCT kind), count(partition_key) FROM vulkan.events WHERE "offset" = ANY($1)"#,
    )
    .bind(&again)
    .fetch_one(&db.pool)
    .await
    .unwrap();
    println!(
        "begun again: {}, of groups and of keys {of_groups_and_keys:?}",
        again.len()
    );
    assert!(rolls() < 100 || (of_groups_and_keys.0 > 1 && of_groups_and_keys.1 > 0));
    let mut done = 0;
    for group in GROUPS {
        done += db.count(group, "done").await;
    }
    assert_eq!(done, i64::try_from(published).unwrap());
    let attempts: i32 = db
        .value("SELECT max(attempts) FROM vulkan.deliveries")
        .await;
    assert_eq!(attempts, 1);
    let rows: i64 = db.value("SELECT count(*) FROM vulkan.workers").await;
    assert_eq!(rows, 0, "each takes its row with it");
    db.check().await;
}
