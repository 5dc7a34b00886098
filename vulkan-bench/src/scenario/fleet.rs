//! One to eight worker processes, on one group and on fifty.

use super::support::SLOTS;
use crate::Result;
use crate::bench::Bench;
use crate::fill::Backlog;
use crate::meter::Meter;
use crate::outcome::{Outcome, Target};
use crate::server::Database;
use crate::worker::{Crew, Deed, WorkOrder};

const PROCESSES: [usize; 4] = [1, 2, 4, 8];

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for (groups, messages) in [
        (1, bench.size(3_000_000, 40_000)),
        (50, bench.size(20_000, 1_000)),
    ] {
        let database = bench.server.database().await?;
        Backlog::of(messages).fill(&database).await?;
        for turn in bench.turns() {
            let mut rates = Vec::new();
            for processes in PROCESSES {
                let names = (0..groups)
                    .map(|group| format!("g{group}-{turn}-{processes}"))
                    .collect();
                let name = format!(
                    "{groups} {}, {processes} processes",
                    if groups == 1 { "group" } else { "groups" }
                );
                rates.push(
                    drain(
                        bench,
                        &mut outcome,
                        &database,
                        &name,
                        processes,
                        names,
                        messages,
                    )
                    .await?,
                );
            }
            let best = rates.iter().copied().fold(0.0, f64::max);
            let last = rates.last().copied().unwrap_or_default();
            outcome.goal(
                &format!("8 processes / the best, {groups} groups"),
                last / best,
                Target::AtLeast(0.9),
            );
        }
    }
    Ok(outcome)
}

async fn drain(
    bench: &Bench,
    outcome: &mut Outcome,
    database: &Database,
    name: &str,
    processes: usize,
    groups: Vec<String>,
    messages: u64,
) -> Result<f64> {
    let all = messages * groups.len() as u64;
    let order = WorkOrder {
        url: database.url.clone(),
        groups,
        slots: SLOTS,
        deed: Deed::Nothing,
    };
    let mut crew = Crew::start(processes, &order).await?;
    let meter = Meter::begin(&bench.server, &database.pool).await?;
    crew.begin().await?;
    crew.until(|progress| progress.handled >= all).await?;
    let worked = crew.stop().await?;
    let cost = worked.cost(meter).await?;
    Ok(outcome.add_rate(name, worked.handled, worked.seconds, cost))
}
