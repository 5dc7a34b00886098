//! A producer and a worker together, as fast as both can.

use super::support::{Drain, Producer, SLOTS, Shape};
use crate::Result;
use crate::bench::Bench;
use crate::fill::Backlog;
use crate::meter::Meter;
use crate::outcome::{Outcome, Target};
use crate::peer::Work;
use crate::worker::{Crew, Deed};

/// What the handler does, and what is asked of it.
struct Load {
    slots: usize,
    work_ms: u64,
    /// Of the drain of a backlog.
    of_drain: Option<f64>,
    /// Of peers with retries for each message, and of those without.
    of_peers: [f64; 2],
}

/// With a handler that does nothing.
pub(crate) async fn without_work(bench: &Bench) -> Result<Outcome> {
    let load = Load {
        slots: SLOTS,
        work_ms: 0,
        of_drain: Some(0.4),
        of_peers: [6.0, 2.0],
    };
    run(bench, &load).await
}

/// With a handler that waits a millisecond, 256 at once.
pub(crate) async fn with_work(bench: &Bench) -> Result<Outcome> {
    let load = Load {
        slots: 256,
        work_ms: 1,
        of_drain: None,
        of_peers: [4.0, 2.0],
    };
    run(bench, &load).await
}

async fn run(bench: &Bench, load: &Load) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = bench.size(10, 2);
    let messages = bench.size(500_000, 20_000);
    let backlog = bench.server.database().await?;
    Backlog::of(messages).fill(&backlog).await?;
    for turn in bench.turns() {
        let mut steady = 0.0;
        {
            let database = bench.server.database().await?;
            let mut drain = Drain::new(&database, "steady", 0);
            drain.slots = load.slots;
            if load.work_ms > 0 {
                drain.deed = Deed::Sleep {
                    millis: load.work_ms,
                };
            }
            let mut crew = Crew::start(1, &drain.order()).await?;
            let producer = Producer::start(&database.client, Shape::NoKeys);
            crew.begin().await?;
            producer.measure(&crew, 1).await?;
            let meter = Meter::begin(&bench.server, &database.pool).await?;
            let (handled, took) = producer.measure(&crew, seconds).await?;
            let cost = meter.end().await?;
            producer.stop().await?;
            let worked = crew.stop().await?;
            let cost = crate::meter::Cost {
                peak_bytes: worked.peak_bytes,
                ..cost
            };
            steady += outcome.add_rate("vulkan", handled, took, cost);
        }
        if let Some(target) = load.of_drain {
            let (worked, cost) = Drain::new(&backlog, format!("drain-{turn}"), messages)
                .run(bench)
                .await?;
            let drained =
                outcome.add_rate("drain of a backlog", worked.handled, worked.seconds, cost);
            outcome.goal("steady / drain", steady / drained, Target::AtLeast(target));
        }
        for peer in bench.peers.all() {
            let work = Work::Steady {
                seconds,
                slots: if load.work_ms == 0 {
                    peer.slots()
                } else {
                    load.slots
                },
                work_ms: load.work_ms,
                rate: None,
            };
            let done = peer.run(bench, work).await?;
            let rate = outcome.add_rate(peer.name(), done.handled, done.seconds, done.cost);
            let target = load.of_peers[usize::from(!peer.retries_each())];
            outcome.goal(
                &format!("vulkan / {}", peer.name()),
                steady / rate,
                Target::AtLeast(target),
            );
        }
    }
    Ok(outcome)
}
