use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{Process, until};
use crate::support::{Publish, TestDb};

const GROUP: &str = "process";

fn deed(name: &str) -> Publish {
    Publish::new("deed").payload(json!(name))
}

#[tokio::test]
async fn sigterm_lets_it_finish() {
    let db = TestDb::new().await;
    let mut process = Process::start(&db.url());
    let quick = deed("succeed").send(&db.pool).await;
    let waits = deed("wait").send(&db.pool).await;
    let keyed = deed("wait").key("k").send(&db.pool).await;
    process.says(&format!("begin {waits}")).await;
    db.until_stands(GROUP, keyed, "in work", |stand| stand.is("processing", 1))
        .await;
    process.signal("TERM").await;
    let late = deed("succeed").send(&db.pool).await;
    process.let_go().await;
    assert_eq!(process.exit().await.code(), Some(0));
    for offset in [quick, waits] {
        assert!(db.stand(GROUP, offset).await.is("done", 1));
    }
    // The signal may come before or after these were begun; nothing is left in between.
    assert_eq!(db.count(GROUP, "processing").await, 0);
    let _ = (keyed, late);
    db.check().await;
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() {
    let db = TestDb::new().await;
    let mut process = Process::start(&db.url());
    let unkeyed = deed("hang").send(&db.pool).await;
    process.says(&format!("begin {unkeyed}")).await;
    process.signal("TERM").await;
    process.says(&format!("told {unkeyed}")).await;
    let since = Instant::now();
    process.signal("TERM").await;
    process.says("cut 1").await;
    assert_eq!(process.exit().await.code(), Some(3));
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
    assert!(db.stand(GROUP, unkeyed).await.is("ready", 0));
    db.check().await;
}

#[tokio::test]
async fn another_takes_over_from_one_that_is_killed() {
    let db = TestDb::new().await;
    let mut first = Process::start(&db.url());
    let mut offsets = Vec::new();
    for nth in 0..4 {
        offsets.push(deed("wait").send(&db.pool).await);
        offsets.push(
            deed("wait")
                .key(&format!("k{}", nth % 2))
                .send(&db.pool)
                .await,
        );
    }
    first.says(&format!("begin {}", offsets[0])).await;
    let mut second = Process::start(&db.url());
    second.let_go().await;
    first.signal("KILL").await;
    let since = Instant::now();
    assert_eq!(first.exit().await.code(), None);
    // A lease of a second, a look for lost ones five times as often, and a busy machine.
    second.says(&format!("begin {}", offsets[0])).await;
    assert!(
        since.elapsed() < Duration::from_secs(4),
        "{:?}",
        since.elapsed()
    );
    db.until_done(GROUP, 8).await;
    db.until_is(GROUP, offsets[0], "done", 2).await;
    second.signal("TERM").await;
    assert_eq!(second.exit().await.code(), Some(0));
    db.check().await;
}

#[tokio::test]
async fn a_message_that_kills_its_process_is_dead_alone() {
    let db = TestDb::new().await;
    for (poison, mates) in [
        (
            deed("abort"),
            [deed("succeed"), deed("wait"), deed("succeed").key("k")],
        ),
        (
            deed("abort").key("k"),
            [
                deed("succeed").key("k"),
                deed("wait"),
                deed("succeed").key("l"),
            ],
        ),
    ] {
        // In one transaction, so in one claim.
        let mut tx = db.pool.begin().await.unwrap();
        let mut offsets = Vec::new();
        for mate in &mates {
            offsets.push(mate.send(&mut *tx).await);
        }
        let deadly = poison.send(&mut *tx).await;
        for mate in &mates {
            offsets.push(mate.send(&mut *tx).await);
        }
        tx.commit().await.unwrap();

        // Three attempts. One more death where an attempt was put down to the message before it in
        // its run, whose end nobody had reported yet.
        let dead = || async {
            db.until_is(GROUP, deadly, "dead", 3).await;
        };
        let mut deaths = 0;
        let mut process = loop {
            let mut process = Process::start(&db.url());
            process.let_go().await;
            tokio::select! {
                status = process.exit() => assert_eq!(status.code(), None, "aborted"),
                () = dead() => break process,
            }
            deaths += 1;
        };
        assert!((3..=4).contains(&deaths), "{deaths}");
        for offset in offsets {
            db.until_stands(GROUP, offset, "done", |stand| stand.status == "done")
                .await;
        }
        let error = db.stand(GROUP, deadly).await.last_error.unwrap();
        assert!(error.starts_with("the lease of worker"), "{error}");
        process.signal("TERM").await;
        assert_eq!(process.exit().await.code(), Some(0));
        until("nobody to hold anything", || async {
            db.count(GROUP, "processing").await == 0
        })
        .await;
    }
    db.check().await;
}

/// It knows by its clock that its lease is over, before it can ask.
#[tokio::test]
async fn one_that_stood_still_goes_on_with_no_message_of_a_run() {
    let db = TestDb::new().await;
    let mut run = Vec::new();
    for what in ["wait", "succeed", "succeed"] {
        run.push(deed(what).key("k").send(&db.pool).await);
    }
    let mut first = Process::start(&db.url());
    first.says(&format!("begin {}", run[0])).await;
    first.signal("STOP").await;
    // Read as soon as it goes on.
    first.let_go().await;
    let mut second = Process::start(&db.url());
    second.let_go().await;
    db.until_stands(GROUP, run[2], "done", |stand| stand.is("done", 1))
        .await;
    second.signal("KILL").await;
    second.exit().await;
    first.signal("CONT").await;
    let after = deed("succeed").send(&db.pool).await;
    let said = first.says_before(&format!("end {after}")).await;
    for offset in &run[1..] {
        let begun = format!("begin {offset}");
        assert!(!said.contains(&begun), "{said:?}");
    }
    // The one that was begun twice has taken two attempts.
    for (offset, attempts) in run.into_iter().zip([2, 1, 1]) {
        assert!(db.stand(GROUP, offset).await.is("done", attempts));
    }
    db.check().await;
}
