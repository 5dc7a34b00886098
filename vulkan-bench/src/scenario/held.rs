//! Another session holds a snapshot, and one an xid, while messages come and go.
//!
//! For the whole time messages come at a pace that leaves room on the disk; what can be handled at most is measured in
//! bursts, before the snapshot and at its end.

use std::time::Duration;

use futures::future::try_join_all;
use sqlx::{PgPool, Postgres, Transaction};

use super::support::{Drain, Producer, Shape};
use crate::Result;
use crate::bench::Bench;
use crate::outcome::{Outcome, Target, median};
use crate::peer::Work;
use crate::server::Database;
use crate::worker::{Crew, Deed};

/// Messages a second, between the bursts.
const PACE: u64 = 10_000;
/// As good as none.
const PAUSED: u64 = 100;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let held = Duration::from_secs(bench.size(600, 5));
    let burst = bench.size(10, 2);
    let mut loads = Vec::new();
    for (name, shape, deed) in [
        ("unkeyed", Shape::NoKeys, Deed::Nothing),
        (
            "a hot key and a thousand others",
            Shape::HotKey,
            Deed::Nothing,
        ),
        ("5 % fail", Shape::NoKeys, Deed::FailEvery(20)),
    ] {
        loads.push(Load::start(bench, name, shape, deed).await?);
    }
    for load in &mut loads {
        load.before = load.burst(burst).await?;
    }
    let mut holders = Vec::new();
    for load in &loads {
        holders.push(hold(&load.database.pool).await?);
        load.producer.rate(PACE);
    }
    try_join_all(
        loads
            .iter()
            .map(|load| load.producer.keep_up(&load.crew, held)),
    )
    .await?;
    for load in &loads {
        load.producer.rate(PAUSED);
    }
    for load in &loads {
        let held_rate = load.burst(burst).await?;
        let (name, before) = (load.name, load.before);
        outcome.add(&format!("{name}: before"), "messages/s", before);
        outcome.add(
            &format!("{name}: held for {} s", held.as_secs()),
            "messages/s",
            held_rate,
        );
        outcome.goal(
            &format!("{name}: held / before"),
            held_rate / before,
            Target::AtLeast(0.9),
        );
    }
    drop(holders);
    for load in loads {
        load.producer.stop().await?;
        load.crew.stop().await?;
    }
    outcome.note(format!(
        "While it is held, {PACE} messages a second come in each of the three; the figures are of bursts of {burst} s, one after the other."
    ));
    // One after the other, each with a hold of its own.
    let seconds = bench.size(120, 5);
    for peer in bench.peers.all() {
        let work = Work::Steady {
            seconds,
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
                &format!("{}: held for {seconds} s", peer.name()),
                "messages/s",
                median(&each[each.len() - some..]),
            );
        }
    }
    Ok(outcome)
}

/// A producer and a worker, in a database of their own.
struct Load {
    name: &'static str,
    database: Database,
    crew: Crew,
    producer: Producer,
    /// Messages a second, before anything was held.
    before: f64,
}

impl Load {
    async fn start(bench: &Bench, name: &'static str, shape: Shape, deed: Deed) -> Result<Self> {
        let database = bench.server.database().await?;
        let mut drain = Drain::new(&database, "held", 0);
        drain.deed = deed;
        let mut crew = Crew::start(1, &drain.order()).await?;
        let producer = Producer::start(&database.client, shape);
        producer.rate(PAUSED);
        crew.begin().await?;
        Ok(Self {
            name,
            database,
            crew,
            producer,
            before: 0.0,
        })
    }

    /// Messages a second, as many as it can.
    async fn burst(&self, seconds: u64) -> Result<f64> {
        self.producer.rate(0);
        self.producer.measure(&self.crew, 3).await?;
        let (handled, took) = self.producer.measure(&self.crew, seconds).await?;
        self.producer.rate(PAUSED);
        Ok(handled as f64 / took)
    }
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
