//! Another session holds a snapshot, and one an xid, while messages come and go.
//!
//! For the whole time messages come at a pace that leaves room on the disk; what can be handled at most is measured in
//! bursts, before the snapshot and at its end.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};

use super::support::{Drain, Producer, Shape};
use crate::Result;
use crate::bench::Bench;
use crate::outcome::{Outcome, Target, median};
use crate::peer::Work;
use crate::worker::{Crew, Deed};

/// Messages a second, between the bursts.
const PACE: u64 = 10_000;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let held = Duration::from_secs(bench.size(600, 5));
    for (name, shape, deed) in [
        ("unkeyed", Shape::NoKeys, Deed::Nothing),
        (
            "a hot key and a thousand others",
            Shape::HotKey,
            Deed::Nothing,
        ),
        ("5 % fail", Shape::NoKeys, Deed::FailEvery(20)),
    ] {
        let (before, after) = vulkan(bench, shape, deed, held).await?;
        outcome.add(&format!("{name}: before"), "messages/s", before);
        outcome.add(
            &format!("{name}: held for {} s", held.as_secs()),
            "messages/s",
            after,
        );
        outcome.goal(
            &format!("{name}: held / before"),
            after / before,
            Target::AtLeast(0.9),
        );
    }
    for peer in bench.peers.all() {
        let work = Work::Steady {
            seconds: held.as_secs(),
            slots: peer.slots(),
            work_ms: 0,
            rate: None,
        };
        let done = peer.run_held(bench, work).await?;
        // The first tenth, and the last.
        let each: Vec<f64> = done
            .progress
            .windows(2)
            .map(|two| (two[1] - two[0]) as f64)
            .collect();
        let some = (each.len() / 10).max(1);
        if each.len() > 1 {
            outcome.add(
                &format!("{}: at first", peer.name()),
                "messages/s",
                median(&each[..some]),
            );
            outcome.add(
                &format!("{}: at last", peer.name()),
                "messages/s",
                median(&each[each.len() - some..]),
            );
        }
    }
    Ok(outcome)
}

async fn vulkan(bench: &Bench, shape: Shape, deed: Deed, held: Duration) -> Result<(f64, f64)> {
    let burst = bench.size(10, 2);
    let database = bench.server.database().await?;
    let mut drain = Drain::new(&database, "held", 0);
    drain.deed = deed;
    let mut crew = Crew::start(1, &drain.order()).await?;
    let producer = Producer::start(&database.client, shape);
    crew.begin().await?;
    producer.measure(&crew, burst).await?;
    let (handled, seconds) = producer.measure(&crew, burst).await?;
    let before = handled as f64 / seconds;
    let holders = hold(&database.pool).await?;
    producer.rate(PACE);
    producer.keep_up(&crew, held).await?;
    producer.rate(0);
    producer.measure(&crew, burst.min(2)).await?;
    let (handled, seconds) = producer.measure(&crew, burst).await?;
    drop(holders);
    producer.stop().await?;
    crew.stop().await?;
    Ok((before, handled as f64 / seconds))
}

/// Two sessions in a transaction: one with a snapshot, one with an xid.
pub(crate) async fn hold(pool: &PgPool) -> Result<[Transaction<'static, Postgres>; 2]> {
    let mut snapshot = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await?;
    sqlx::query("SELECT count(*) FROM pg_class")
        .execute(&mut *snapshot)
        .await?;
    let mut xid = pool.begin().await?;
    sqlx::query("SELECT pg_current_xact_id()::text")
        .execute(&mut *xid)
        .await?;
    Ok([snapshot, xid])
}
