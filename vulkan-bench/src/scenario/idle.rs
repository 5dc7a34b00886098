//! Two hundred messages a second: what they cost.

use std::time::Duration;

use super::support::{Drain, trickle};
use crate::Result;
use crate::bench::Bench;
use crate::meter::Meter;
use crate::outcome::{Outcome, Target};
use crate::peer::Work;
use crate::processes;
use crate::worker::Crew;

const RATE: u64 = 200;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = bench.size(20, 3);
    for _ in bench.turns() {
        let database = bench.server.database().await?;
        let drain = Drain::new(&database, "idle", 0);
        let mut crew = Crew::start(1, &drain.order()).await?;
        crew.begin().await?;
        trickle(&database.client, RATE, Duration::from_secs(1)).await?;
        let meter = Meter::begin(&bench.server, &database.pool).await?;
        let before = crew.cpu_seconds();
        let (_, took) = trickle(&database.client, RATE, Duration::from_secs(seconds)).await?;
        let worker = crew
            .cpu_seconds()
            .zip(before)
            .map(|(end, begin)| end - begin);
        let cost = meter.end().await?;
        crew.stop().await?;
        if let Some((worker, server)) = worker.zip(cost.server_cpu_seconds) {
            let cores = (worker + server) / took;
            outcome.add("vulkan: the worker", "cores", worker / took);
            outcome.add("vulkan: the database", "cores", server / took);
            outcome.goal(
                "cores, worker and database together",
                cores,
                Target::AtMost(0.1),
            );
        } else {
            outcome.note("The CPU of this server is not known.");
        }
        for peer in bench.peers.all() {
            let work = Work::Steady {
                seconds,
                slots: 16,
                work_ms: 0,
                rate: Some(RATE),
            };
            let done = peer.run(bench, work).await?;
            if let Some((client, server)) = done
                .cost
                .client_cpu_seconds
                .zip(done.cost.server_cpu_seconds)
            {
                outcome.add(
                    &format!("{}: with its producer", peer.name()),
                    "cores",
                    (client + server) / done.seconds,
                );
            }
        }
    }
    if processes::own().cpu_seconds.is_none() {
        outcome.note("The CPU of processes is not known on this system.");
    }
    Ok(outcome)
}
