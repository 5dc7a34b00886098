use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::support::{Group, Message, Publish, Settlement, TestDb, offsets, within};

const CLAIMERS: u64 = 6;
const MESSAGES: usize = 1500;

/// What the handlers see, across all claimers.
#[derive(Default)]
struct Seen {
    handled: HashMap<String, Vec<i64>>,
    in_work: HashSet<String>,
    resolved: usize,
}

/// Few keys make for crowds on each lane, many for crowds on the log.
#[tokio::test(flavor = "multi_thread")]
async fn each_key_is_handled_in_log_order_by_one_at_a_time() {
    for keys in [3, 400] {
        let db = TestDb::new().await;
        let group = db.group("audit").await.with("max_attempts = 1000").await;
        let group = group.with("backoff_initial = '1 microsecond', backoff_max = '1 microsecond'");
        let group = group.await;
        sqlx::query(
            "SELECT vulkan.publish_many('orders', array_fill('n'::text, ARRAY[$1]),
                 array_fill('1'::jsonb, ARRAY[$1]),
                 ARRAY(SELECT 'k' || n % $2 FROM generate_series(1, $1) n ORDER BY n))",
        )
        .bind(MESSAGES as i32)
        .bind(keys)
        .execute(&db.pool)
        .await
        .unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut claimers = JoinSet::new();
        for seed in 0..CLAIMERS {
            claimers.spawn(work(group.clone(), seed, seen.clone()));
        }
        within("all keys to be drained", claimers.join_all()).await;

        let handled = std::mem::take(&mut seen.lock().unwrap().handled);
        for (key, offsets) in &handled {
            assert!(offsets.is_sorted_by(|a, b| a < b), "{key}: {offsets:?}");
        }
        assert_eq!(handled.values().flatten().count(), MESSAGES);
        assert_eq!(
            db.value::<i64>("SELECT count(*) FROM vulkan.lanes").await,
            0
        );
        db.check().await;
    }
}

/// Handles what it can get until all is resolved, and fails now and then.
async fn work(group: Group, seed: u64, seen: Arc<Mutex<Seen>>) {
    let mut rng = StdRng::seed_from_u64(seed);
    while seen.lock().unwrap().resolved < MESSAGES {
        let messages = group.claim_as("worker", 40).await;
        let mut runs: HashMap<&String, Vec<&Message>> = HashMap::new();
        for message in &messages {
            let run = runs.entry(message.partition_key.as_ref().unwrap());
            run.or_default().push(message);
        }
        let mut settlement = Settlement::closing(&messages);
        for (key, run) in &runs {
            let mut seen = seen.lock().unwrap();
            assert!(
                seen.in_work.insert((*key).clone()),
                "{key} is in work twice"
            );
            let failing = rng.random_bool(0.2).then(|| rng.random_range(0..run.len()));
            let succeed = failing.unwrap_or(run.len());
            let handled = run[..succeed].iter().map(|message| message.offset);
            seen.handled
                .entry((*key).clone())
                .or_default()
                .extend(handled);
            seen.resolved += succeed;
            settlement = match failing {
                Some(nth) => settlement.item(run[nth], "retry"),
                None => settlement.item(run[run.len() - 1], "done"),
            };
        }
        tokio::task::yield_now().await;
        // Nobody else can have them before the settlement, so this is early enough.
        for key in runs.keys() {
            seen.lock().unwrap().in_work.remove(*key);
        }
        for verdict in group.settle(&settlement).await {
            assert_eq!(verdict.verdict, "ready", "{verdict:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_backoff_holds_back_only_itself() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let mut sent = Vec::new();
    for key in ["bad", "good", "bad", "good", "bad"] {
        sent.push(Publish::keyed(key).send(&db.pool).await);
    }
    let messages = group.claim().await;
    assert_eq!(offsets(&messages), sent);
    let settlement = Settlement::closing(&messages)
        .item(&messages[0], "retry")
        .item(&messages[3], "done");
    group.settle(&settlement).await;
    let more = Publish::keyed("bad").send(&db.pool).await;
    let good = Publish::keyed("good").send(&db.pool).await;
    assert_eq!(offsets(&group.claim().await), [good]);
    let (key, reason): (String, String) =
        sqlx::query_as("SELECT partition_key, reason FROM vulkan.blocked_keys")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    assert_eq!((key.as_str(), reason.as_str()), ("bad", "backoff"));
    db.check().await;
    db.all_due().await;
    assert_eq!(
        offsets(&group.claim().await),
        [sent[0], sent[2], sent[4], more]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_in_hand_is_out_of_reach_and_goes_on_where_it_was_given_back() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for _ in 0..6 {
        Publish::keyed("k").send(&db.pool).await;
    }
    let run = group.claim_as("w", 4).await;
    assert_eq!(offsets(&run), [1, 2, 3, 4]);
    assert!(group.claim().await.is_empty());
    assert_eq!(group.settle_one(&run[1], "progress").await, []);
    assert_eq!(group.status(2).await.unwrap().0, "done");
    assert_eq!(group.status(3).await, Some(("processing".into(), 1)));
    assert!(group.claim().await.is_empty(), "progress keeps the lane");
    let released = Settlement::default().item(&run[2], "release");
    assert_eq!(group.settle(&released).await[0].verdict, "ready");
    let rest = group.claim().await;
    assert_eq!(offsets(&rest), [3, 4, 5, 6]);
    assert!(rest.iter().all(|message| message.attempt == 1));
    db.check().await;
}

/// Also where more of the key, which is due, lies behind it in the same run.
#[tokio::test]
async fn a_run_ends_before_a_message_that_is_not_due() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let keyed = Publish::keyed("k");
    keyed.send(&db.pool).await;
    let held = group.claim().await;
    let next = keyed.send(&db.pool).await;
    keyed.clone().delayed(3600.0).send(&db.pool).await;
    keyed.send(&db.pool).await;
    assert!(group.claim().await.is_empty());
    group.done(&held).await;
    let run = group.claim().await;
    assert_eq!(offsets(&run), [next]);
    group.done(&run).await;
    assert!(group.claim().await.is_empty());
    db.all_due().await;
    let rest = group.claim().await;
    assert_eq!(offsets(&rest), [next + 1, next + 2]);
    group.done(&rest).await;
    db.check().await;
}
