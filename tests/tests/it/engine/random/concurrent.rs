use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::event::Event;
use crate::support::{Group, Message, Publish, Settlement, TestDb, within};

const PUBLISHERS: u64 = 3;
const WORKERS: u64 = 4;
const TRANSACTIONS: usize = 150;

/// Everybody at once on connections of their own, and peace at the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_loses_nothing_and_never_deadlocks() {
    let db = TestDb::new().await;
    let mut groups = Vec::new();
    for (name, set) in [
        ("plain", "max_attempts = 4, lease = '30 milliseconds'"),
        (
            "strict",
            "max_attempts = 4, lease = '30 milliseconds', on_dead = 'block'",
        ),
        (
            "limited",
            "max_attempts = 4, lease = '30 milliseconds', max_in_flight = 9, max_in_flight_per_prefix = 2,
             prefix_delimiter = 'k'",
        ),
    ] {
        let group = db.group(name).await.with(set).await;
        let backoff = "backoff_initial = '1 millisecond', backoff_max = '2 milliseconds'";
        groups.push(group.with(backoff).await);
    }
    // Past the offset that `plain` is replayed to, which is then never forwards.
    let before = publish_some(&db).await;
    let messages = groups[0].claim_as("w", 100).await;
    groups[0].done(&messages).await;
    let publishing = Arc::new(AtomicUsize::new(PUBLISHERS as usize));
    let mut publishers = JoinSet::new();
    for seed in 0..PUBLISHERS {
        publishers.spawn(publish(db.connect().await, seed, publishing.clone()));
    }
    let mut others = JoinSet::new();
    for seed in 0..WORKERS {
        others.spawn(work(groups.clone(), seed, publishing.clone()));
    }
    others.spawn(operate(db.connect().await, publishing.clone()));
    let committed = within("the publishers", publishers.join_all()).await;
    let committed: HashSet<i64> = committed.into_iter().flatten().chain(before).collect();
    within("the workers", others.join_all()).await;
    db.check().await;
    db.run("SELECT vulkan.set_prefix_limit('orders', 'limited', 'k1', NULL)")
        .await;

    for group in &groups {
        within("the group to be drained", drain(&db, group)).await;
        let ended: Vec<i64> = sqlx::query_scalar(
            "SELECT event_offset FROM vulkan.deliveries
             WHERE consumer_group = $1 AND status IN ('done', 'dead')",
        )
        .bind(&group.name)
        .fetch_all(&db.pool)
        .await
        .unwrap();
        assert_eq!(ended.len(), committed.len(), "{}", group.name);
        assert_eq!(ended.into_iter().collect::<HashSet<_>>(), committed);
    }
    db.check().await;
}

async fn publish_some(db: &TestDb) -> Vec<i64> {
    let mut sent = Vec::new();
    while sent.len() < 60 {
        sent.push(Publish::new("n").send(&db.pool).await);
    }
    sent
}

async fn publish(mut connection: PgConnection, seed: u64, left: Arc<AtomicUsize>) -> Vec<i64> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut committed = Vec::new();
    for _ in 0..TRANSACTIONS {
        let mut open = connection.begin().await.unwrap();
        let mut mine = Vec::new();
        for _ in 0..rng.random_range(1..5) {
            let event = Event {
                key: rng.random_bool(0.6).then(|| rng.random_range(0..4)),
                delay: rng.random_bool(0.15).then_some(80),
                b: rng.random(),
                eu: rng.random(),
            };
            mine.push(event.publish().send(&mut *open).await);
        }
        if rng.random_bool(0.2) {
            open.rollback().await.unwrap();
        } else {
            open.commit().await.unwrap();
            committed.append(&mut mine);
        }
    }
    left.fetch_sub(1, SeqCst);
    committed
}

/// Claims, settles in every way, forgets to, and reaps what others forgot.
async fn work(groups: Vec<Group>, seed: u64, publishing: Arc<AtomicUsize>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut forgotten: Vec<(usize, Vec<Message>)> = Vec::new();
    while publishing.load(SeqCst) > 0 {
        let nth = rng.random_range(0..groups.len());
        let group = &groups[nth];
        let messages = group.claim_as(&format!("w{seed}"), 20).await;
        if rng.random_bool(0.1) {
            forgotten.push((nth, messages));
        } else {
            group.settle(&outcomes(&mut rng, &messages)).await;
        }
        if rng.random_bool(0.1) {
            let sql = "SELECT vulkan.reap()";
            sqlx::query(sql).execute(&group.pool).await.unwrap();
        }
        if let Some((nth, late)) = forgotten.pop_if(|_| rng.random_bool(0.1)) {
            groups[nth].settle(&outcomes(&mut rng, &late)).await;
        }
    }
}

/// One outcome for each unkeyed message, and one for each lane.
fn outcomes(rng: &mut StdRng, messages: &[Message]) -> Settlement {
    let mut runs: HashMap<i64, Vec<&Message>> = HashMap::new();
    let mut settlement = Settlement::closing(messages);
    for message in messages {
        if let Some(lane) = message.lane {
            runs.entry(lane).or_default().push(message);
            continue;
        }
        let outcome = ["done", "done", "done", "retry", "snooze", "running", "dead"];
        settlement = settlement.item(message, outcome.choose(rng).unwrap());
    }
    for run in runs.values() {
        let outcome = ["done", "done", "progress", "retry", "release", "dead"];
        let message = run.choose(rng).unwrap();
        settlement = settlement.item(message, outcome.choose(rng).unwrap());
    }
    settlement
}

/// What an operator does meanwhile.
async fn operate(mut connection: PgConnection, publishing: Arc<AtomicUsize>) {
    let mut rng = StdRng::seed_from_u64(0);
    let calls = [
        "SELECT vulkan.redrive('orders', 'plain', at_most => 10)",
        "SELECT vulkan.redrive('orders', 'strict')",
        "SELECT vulkan.replay('orders', 'plain', to_offset => 50)",
        "SELECT vulkan.replay('orders', 'strict', to_position => 'earliest')",
        "SELECT vulkan.pause('orders', 'plain'); SELECT vulkan.resume('orders', 'plain')",
        "SELECT vulkan.cancel('orders', 'plain', e.\"offset\")
         FROM (SELECT \"offset\" FROM vulkan.events ORDER BY 1 DESC OFFSET 3 LIMIT 1) e",
        "SELECT vulkan.cancel('orders', c.group_name, c.\"offset\")
         FROM (SELECT g.name AS group_name, d.event_offset AS \"offset\" FROM vulkan.deliveries d
               JOIN vulkan.groups g ON g.name = d.consumer_group WHERE d.status = 'processing' LIMIT 1) c",
        "SELECT vulkan.redrive('orders', 'limited')",
        "SELECT vulkan.replay('orders', 'limited', to_position => 'earliest')",
        "SELECT vulkan.set_limits('orders', 'limited', max_in_flight_per_prefix => 1 + (random() * 3)::integer)",
        "SELECT vulkan.set_limits('orders', 'limited', prefix_delimiter => (ARRAY['k', ':'])[1 + (random())::integer])",
        "SELECT vulkan.set_prefix_limit('orders', 'limited', 'k1', (ARRAY[NULL, 0, 3])[1 + (random() * 2)::integer])",
        "SELECT vulkan.maintain()",
        "SELECT vulkan.reap()",
        "SELECT * FROM vulkan.group_overview",
    ];
    while publishing.load(SeqCst) > 0 {
        // In the midst of it all: it looks at one moment.
        let violations: Vec<String> = sqlx::query_scalar("SELECT c::text FROM vulkan.check() c")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert!(violations.is_empty(), "{violations:#?}");
        let call = *calls.choose(&mut rng).unwrap();
        sqlx::raw_sql(call).execute(&mut connection).await.unwrap();
        if rng.random_bool(0.3) {
            let sql = "SELECT vulkan.skip('orders', 'strict', max(\"offset\")) FROM vulkan.events";
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
    }
}

/// Finishes all that is left, without failures.
async fn drain(db: &TestDb, group: &Group) {
    db.lose_leases().await;
    let open = "SELECT count(*) FROM vulkan.deliveries WHERE status IN ('ready', 'processing')";
    loop {
        db.all_due().await;
        let messages = group.claim_as("drain", 500).await;
        if !messages.is_empty() {
            group.done(&messages).await;
            continue;
        }
        let sql = "SELECT vulkan.redrive('orders', 'strict')";
        let redriven: i64 = sqlx::query_scalar(sql).fetch_one(&db.pool).await.unwrap();
        if redriven == 0 || group.name != "strict" {
            let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                "{open} AND consumer_group = '{}'",
                group.name
            )))
            .fetch_one(&db.pool)
            .await
            .unwrap();
            assert_eq!(left, 0, "{} hands out nothing more", group.name);
            return;
        }
    }
}
