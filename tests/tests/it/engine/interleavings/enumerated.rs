//! The critical statements in every order.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::schedule::{Answer, Answers, Script, explore};
use crate::support::{Group, Message, Publish, TestDb};

/// A statement, and the end of its transaction: two steps.
fn statement(sql: impl Display) -> Vec<String> {
    vec![format!("BEGIN; {sql}"), "COMMIT".into()]
}

fn claim(group: &Group, worker: &str) -> String {
    format!(
        "SELECT \"offset\" FROM vulkan.claim({}, '{worker}')",
        group.id
    )
}

/// Closes a claim, or gives a lane back, with one outcome for the message.
fn settle(group: &Group, message: &Message, outcome: &str) -> String {
    let (claims, tokens) = match message.claim_hi {
        Some(hi) => (hi.to_string(), message.token.to_string()),
        None => (String::new(), String::new()),
    };
    let lane = message.lane.map_or("NULL".into(), |lane| lane.to_string());
    format!(
        "SELECT verdict FROM vulkan.settle({}, '{{{claims}}}', '{{{tokens}}}', '{{{}}}', '{{{}}}', ARRAY[{lane}]::bigint[], '{{{outcome}}}', '{{0}}')",
        group.id, message.offset, message.token
    )
}

/// The steps that publish() is made of.
fn publisher(key: &str, last: &str) -> Vec<String> {
    vec![
        "BEGIN; SELECT vulkan.announce(1)".into(),
        "SELECT set_config('test.drawn', nextval('vulkan.offset_seq')::text, true)".into(),
        format!(
            "INSERT INTO vulkan.events (\"offset\", stream_id, kind, payload, partition_key)
             VALUES (current_setting('test.drawn')::bigint, 1, 'n', '{{}}', nullif('{key}', '')); {last}"
        ),
    ]
}

fn numbers(answer: &Answer) -> Vec<i64> {
    let texts = answer.as_ref().map_or(&[][..], Vec::as_slice);
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What the claims of a session handed out: statements with one column of numbers.
fn handed_out(answers: &[Answer]) -> Vec<i64> {
    answers.iter().flat_map(numbers).collect()
}

/// The events that the group came after.
async fn log(group: &Group, after: i64) -> Vec<i64> {
    sqlx::query_scalar("SELECT \"offset\" FROM vulkan.events WHERE \"offset\" > $1 ORDER BY 1")
        .bind(after)
        .fetch_all(&group.pool)
        .await
        .unwrap()
}

async fn lose_leases(group: &Group) {
    for table in ["claims", "exceptions", "lanes"] {
        let sql = format!(
            "UPDATE vulkan.{table} SET lease_until = clock_timestamp() - interval '1 second'
             WHERE group_id = {} AND lease_until IS NOT NULL",
            group.id
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&group.pool)
            .await
            .unwrap();
    }
}

/// Everything there is, given back by whoever has it, handled, and none of it twice. What it hands out is returned.
async fn drain(group: &Group) -> Vec<i64> {
    lose_leases(group).await;
    sqlx::query("SELECT vulkan.reap()")
        .execute(&group.pool)
        .await
        .unwrap();
    let mut handled = Vec::new();
    loop {
        let messages = group.claim_as("drain", 100).await;
        if messages.is_empty() {
            break;
        }
        handled.extend(messages.iter().map(|message| message.offset));
        group.done(&messages).await;
    }
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM vulkan.deliveries WHERE consumer_group = $1 AND status IN ('ready', 'processing')",
    )
    .bind(&group.name)
    .fetch_one(&group.pool)
    .await
    .unwrap();
    assert_eq!(left, 0, "what is never handed out");
    handled
}

/// Where a group stood before anything of the schedule was published.
async fn start(group: &Group) -> i64 {
    sqlx::query_scalar("SELECT hi FROM vulkan.claims WHERE group_id = $1 AND lo = 0")
        .bind(group.id)
        .fetch_one(&group.pool)
        .await
        .unwrap()
}

/// Two publishers and a claim: whatever is committed is handed out once, and in order.
#[tokio::test(flavor = "multi_thread")]
async fn publishers_and_a_claim() {
    for (last, key) in [("COMMIT", ""), ("ROLLBACK", ""), ("COMMIT", "k")] {
        let db = TestDb::new().await;
        let prepare = async |group: &Group| -> Script {
            vec![
                publisher(key, last),
                publisher(key, "COMMIT"),
                vec![claim(group, "w")],
            ]
        };
        let judge = async |group: &Group, answers: &Answers| {
            let first = handed_out(&answers[2]);
            let committed = log(group, start(group).await).await;
            assert_eq!(committed.len(), if last == "COMMIT" { 2 } else { 1 });
            lose_leases(group).await;
            let again: BTreeSet<i64> = drain(group).await.into_iter().collect();
            let all: BTreeSet<i64> = committed.iter().copied().collect();
            // What the first claim had is lost, and comes again; the rest was never had.
            assert_eq!(again, all, "{first:?} first");
            assert_eq!(
                first,
                committed[..first.len()],
                "in order, with nothing left out"
            );
        };
        let (orders, _) = explore(&db, prepare, judge).await;
        assert_eq!(orders, 140);
    }
}

/// The reading of the horizon, step by step: nothing ever appears at or below it later.
#[tokio::test(flavor = "multi_thread")]
async fn publishers_and_the_steps_of_the_horizon() {
    let db = TestDb::new().await;
    let prepare = async |_: &Group| -> Script {
        let mut other = publisher("", "COMMIT");
        let drawn = other.remove(1);
        other[0] = format!("{}; {drawn}", other[0]);
        let read = "SELECT \"offset\" FROM vulkan.events
            WHERE \"offset\" <= least(current_setting('test.newest')::bigint, current_setting('test.floor')::bigint)";
        vec![
            publisher("", "COMMIT"),
            other,
            vec![
                "SELECT set_config('test.newest', last_value::text, false) FROM vulkan.offset_seq".into(),
                "SELECT set_config('test.floor', (SELECT coalesce(min(f.floor), 9223372036854775807)::text
                     FROM vulkan.floors(1, current_setting('test.newest')::bigint) f), false)".into(),
                format!("{read}; SELECT least(current_setting('test.newest')::bigint, current_setting('test.floor')::bigint)"),
            ],
        ]
    };
    let judge = async |group: &Group, answers: &Answers| {
        let mut read = numbers(&answers[2][2]);
        let horizon = read.pop().unwrap();
        let committed = log(group, -1).await;
        let below: Vec<i64> = committed.into_iter().filter(|o| *o <= horizon).collect();
        read.sort_unstable();
        assert_eq!(read, below, "up to {horizon}");
    };
    let (orders, _) = explore(&db, prepare, judge).await;
    assert_eq!(orders, 560);
}

/// A claim, a late settlement and a reaper on one lane: the run is done, or it is somebody else's, and never both.
#[tokio::test(flavor = "multi_thread")]
async fn claim_settle_and_reap_on_one_lane() {
    for outcome in ["done", "retry", "progress"] {
        let db = TestDb::new().await;
        let prepare = async |group: &Group| -> Script {
            for _ in 0..3 {
                Publish::keyed("k").send(&group.pool).await;
            }
            let run = group.claim_as("late", 10).await;
            lose_leases(group).await;
            // As a worker does it within a second of the claim.
            sqlx::query("SELECT vulkan.settle($1, $2, $3)")
                .bind(group.id)
                .bind(vec![run[0].claim_hi])
                .bind(vec![run[0].token])
                .execute(&group.pool)
                .await
                .unwrap();
            let late = Message {
                claim_hi: None,
                ..run[1].clone()
            };
            vec![
                statement(settle(group, &late, outcome)),
                statement("SELECT lanes FROM vulkan.reap()"),
                statement(claim(group, "other")),
            ]
        };
        let judge = async |group: &Group, answers: &Answers| {
            let verdict = answers[0][0].clone().unwrap();
            let stale = verdict == ["stale"];
            let other = numbers(&answers[2][0]);
            let run = log(group, start(group).await).await;
            // Who has been told that it was late has changed nothing: the other, or the drain, begins at the beginning.
            let begun = other.first().copied();
            if stale {
                assert!(begun.is_none_or(|first| first == run[0]), "{other:?}");
            } else {
                let next = if outcome == "retry" { run[1] } else { run[2] };
                assert!(
                    begun.is_none_or(|first| first == next || first == run[0]),
                    "{other:?}"
                );
            }
            let attempts = group.status(run[0]).await.unwrap();
            assert!(attempts.0 == "done" || stale, "{attempts:?}");
            let rest = drain(group).await;
            assert!(rest.is_sorted_by_key(|offset| *offset), "{rest:?}");
            for offset in run {
                assert_eq!(group.status(offset).await.unwrap().0, "done");
            }
        };
        let (orders, waited) = explore(&db, prepare, judge).await;
        assert_eq!(orders, 90);
        assert!(waited > 0, "nobody ever waited for the latch");
    }
}

/// A settlement, a reaper and an extension of the same claim.
#[tokio::test(flavor = "multi_thread")]
async fn settle_reap_and_extend_of_one_claim() {
    let db = TestDb::new().await;
    let prepare = async |group: &Group| -> Script {
        for _ in 0..2 {
            Publish::new("n").send(&group.pool).await;
        }
        let held = group.claim_as("late", 10).await;
        lose_leases(group).await;
        let extend = format!(
            "SELECT event_offset FROM vulkan.extend('{{{0},{0}}}', '{{{1},{2}}}', '{{{3},{3}}}', '{{NULL,NULL}}')",
            group.id, held[0].offset, held[1].offset, held[0].token
        );
        vec![
            statement(settle(group, &held[0], "retry")),
            statement("SELECT claims FROM vulkan.reap()"),
            statement(extend),
        ]
    };
    let judge = async |group: &Group, answers: &Answers| {
        let events = log(group, start(group).await).await;
        let stale = answers[0][0]
            .as_ref()
            .unwrap()
            .contains(&"stale".to_owned());
        let reaped = numbers(&answers[1][0])[0] == 1;
        assert_ne!(stale, !reaped, "{answers:?}");
        let first = group.status(events[0]).await.unwrap();
        assert_eq!(first, ("ready".into(), 1));
        let second = group.status(events[1]).await.unwrap();
        let expected = if stale { "ready" } else { "done" };
        assert_eq!(second, (expected.into(), 1));
        drain(group).await;
    };
    let (orders, waited) = explore(&db, prepare, judge).await;
    assert_eq!(orders, 90);
    assert!(waited > 0, "nobody ever waited for the claim");
}

/// Dead messages, redriven and replayed at once, while somebody claims.
#[tokio::test(flavor = "multi_thread")]
async fn redrive_replay_and_a_claim() {
    for key in ["", "k"] {
        let db = TestDb::new().await;
        let prepare = async |group: &Group| -> Script {
            let event = Publish::new("n");
            let event = if key.is_empty() {
                event
            } else {
                event.key(key)
            };
            let first = event.send(&group.pool).await;
            event.send(&group.pool).await;
            for _ in 0..2 {
                let message = group.claim_as("w", 1).await.remove(0);
                group.settle_one(&message, "dead").await;
            }
            vec![
                statement("SELECT vulkan.redrive('orders', 'g')"),
                statement(format!(
                    "SELECT again FROM vulkan.replay('orders', 'g', to_offset => {})",
                    first - 1
                )),
                statement(claim(group, "other")),
            ]
        };
        let judge = async |group: &Group, answers: &Answers| {
            let replayed = numbers(&answers[1][0]);
            assert_eq!(replayed, [2]);
            let mine = numbers(&answers[2][0]);
            assert!(mine.is_sorted(), "{mine:?}");
            // A replay that came last has fenced it, and then it comes again: once, and in order.
            let events: Vec<i64> = log(group, start(group).await).await;
            let events = events[events.len() - 2..].to_vec();
            let mut rest = drain(group).await;
            if key.is_empty() {
                rest.sort_unstable();
            }
            assert_eq!(rest, events);
        };
        let (orders, waited) = explore(&db, prepare, judge).await;
        assert_eq!(orders, 90);
        assert!(waited > 0, "nobody ever waited");
    }
}

/// The slot is rolled under a publisher: what it publishes lies where it is looked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_rolled_under_a_publisher() {
    let db = TestDb::new().await;
    let prepare = async |group: &Group| -> Script {
        vec![
            publisher("", "COMMIT"),
            statement("SELECT vulkan.roll_slot()"),
            vec![claim(group, "w")],
        ]
    };
    let judge = async |group: &Group, answers: &Answers| {
        assert!(
            answers[0].iter().chain(&answers[1]).all(Result::is_ok),
            "{answers:?}"
        );
        let committed = log(group, start(group).await).await;
        assert_eq!(committed.len(), 1);
        assert_eq!(drain(group).await, committed);
    };
    let (orders, _) = explore(&db, prepare, judge).await;
    assert_eq!(orders, 60);
}

/// A handler's transaction that completes a message, and a rewind: what is set back comes again, whatever was done to it.
#[tokio::test(flavor = "multi_thread")]
async fn complete_rewind_and_a_claim() {
    for key in ["", "k"] {
        let db = TestDb::new().await;
        let prepare = async |group: &Group| -> Script {
            let event = Publish::new("n");
            let event = if key.is_empty() {
                event
            } else {
                event.key(key)
            };
            event.send(&group.pool).await;
            let held = group.claim_as("w", 1).await.remove(0);
            let lane = held.lane.map_or("NULL".into(), |lane| lane.to_string());
            vec![
                statement(format!(
                    "SELECT vulkan.complete({}, {}, {}, {lane})",
                    group.id, held.offset, held.token
                )),
                statement(format!(
                    "SELECT again FROM vulkan.replay('orders', 'g', to_offset => {})",
                    held.offset - 1
                )),
                statement(claim(group, "other")),
            ]
        };
        let judge = async |group: &Group, answers: &Answers| {
            assert_eq!(numbers(&answers[1][0]), [1]);
            let completed = &answers[0][0];
            assert!(
                completed.as_ref().is_ok() || completed.as_ref().is_err_and(|code| code == "VK007")
            );
            let events = log(group, start(group).await).await;
            let event = *events.last().unwrap();
            let (status, _) = group.status(event).await.unwrap();
            let other = numbers(&answers[2][0]);
            assert!(status == "ready" || status == "processing", "{status}");
            assert!(status == "ready" || other == [event], "{other:?}");
            assert_eq!(drain(group).await, [event]);
        };
        let (orders, waited) = explore(&db, prepare, judge).await;
        assert_eq!(orders, 90);
        assert!(waited > 0, "the rewind never waited");
    }
}

/// Two claims and a settlement that hands a lane on: nothing is handed out twice.
#[tokio::test(flavor = "multi_thread")]
async fn two_claims_and_a_settlement() {
    let db = TestDb::new().await;
    let prepare = async |group: &Group| -> Script {
        let keyed = Publish::keyed("k");
        keyed.send(&group.pool).await;
        let held = group.claim_as("w", 10).await.remove(0);
        keyed.send(&group.pool).await;
        Publish::new("n").send(&group.pool).await;
        vec![
            statement(settle(group, &held, "done")),
            statement(claim(group, "one")),
            statement(claim(group, "other")),
        ]
    };
    let judge = async |group: &Group, answers: &Answers| {
        let mut handed = handed_out(&answers[1][..1]);
        handed.extend(handed_out(&answers[2][..1]));
        let many = handed.len();
        handed.sort_unstable();
        handed.dedup();
        assert_eq!(handed.len(), many, "{answers:?}");
        drain(group).await;
    };
    let (orders, _) = explore(&db, prepare, judge).await;
    assert_eq!(orders, 90);
}

/// A key that is drained comes again while its row is forgotten, and while others claim: it has one lane, and is handed out once.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_forgotten_as_it_comes_again() {
    let db = TestDb::new().await;
    let prepare = async |group: &Group| -> Script {
        let keyed = Publish::keyed("k");
        keyed.send(&group.pool).await;
        let held = group.claim_as("w", 10).await;
        sqlx::query("UPDATE vulkan.keys SET kept = true")
            .execute(&group.pool)
            .await
            .unwrap();
        group.done(&held).await;
        let drained: i64 = sqlx::query_scalar(
            "WITH aged AS (UPDATE vulkan.keys SET run_at = run_at - interval '11 seconds' WHERE status = 'drained' RETURNING 1)
             SELECT count(*) FROM aged",
        )
        .fetch_one(&group.pool)
        .await
        .unwrap();
        assert_eq!(drained, 1);
        keyed.send(&group.pool).await;
        vec![
            statement("SELECT vulkan.forget_keys()"),
            statement(claim(group, "one")),
            statement(claim(group, "other")),
        ]
    };
    let judge = async |group: &Group, answers: &Answers| {
        let last = *log(group, start(group).await).await.last().unwrap();
        let mut handed = handed_out(&answers[1][..1]);
        handed.extend(handed_out(&answers[2][..1]));
        assert!(handed.len() <= 1, "{answers:?}");
        assert!(handed.iter().all(|offset| *offset == last), "{answers:?}");
        assert_eq!(drain(group).await, [last]);
    };
    let (orders, _) = explore(&db, prepare, judge).await;
    assert_eq!(orders, 90);
}

/// Three publishers of one dedup id, one of which rolls back.
#[tokio::test(flavor = "multi_thread")]
async fn one_dedup_id_published_at_once() {
    let db = TestDb::new().await;
    let prepare = async |group: &Group| -> Script {
        let publish = |last: &str| {
            vec![
                format!(
                    "BEGIN; SELECT vulkan.publish('orders', 'n', '{{}}', dedup_id => 'of {}')",
                    group.id
                ),
                last.to_owned(),
            ]
        };
        vec![publish("COMMIT"), publish("ROLLBACK"), publish("COMMIT")]
    };
    let judge = async |group: &Group, answers: &Answers| {
        let committed = log(group, start(group).await).await;
        assert_eq!(committed.len(), 1, "{answers:?}");
        for nth in [0, 2] {
            assert_eq!(numbers(&answers[nth][0]), committed, "{answers:?}");
        }
        assert_eq!(drain(group).await, committed);
    };
    let (orders, waited) = explore(&db, prepare, judge).await;
    assert_eq!(orders, 90);
    assert!(waited > 0, "nobody ever waited for the id");
}
