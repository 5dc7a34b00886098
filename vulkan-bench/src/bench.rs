//! A run: one server, some scenarios, a report.

use std::process::ExitCode;

use crate::Result;
use crate::args::Run;
use crate::peer::Peers;
use crate::report;
use crate::scenario::{self, Scenario};
use crate::server::Server;

/// What every scenario has at hand.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) peers: Peers,
    quick: bool,
    turns: u32,
}

impl Bench {
    /// A size, and what it is for those who only want to see that it works.
    pub(crate) fn size(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// The turns that each side gets.
    pub(crate) fn turns(&self) -> std::ops::Range<u32> {
        0..self.turns
    }
}

pub(crate) async fn run(run: Run) -> Result<ExitCode> {
    let chosen = scenario::choose(&run.scenarios)?;
    let bench = Bench {
        peers: Peers::choose(&run.against).await?,
        server: Server::start().await?,
        quick: run.quick,
        turns: run.turns.unwrap_or(if run.quick { 1 } else { 3 }),
    };
    let mut found = report::Report::begin(&bench.server, run.quick, &bench.peers).await?;
    for Scenario {
        name,
        about,
        run: measure,
    } in chosen
    {
        eprintln!("{name}: {about}");
        let begun = std::time::Instant::now();
        let outcome = measure(&bench)
            .await
            .map_err(|failure| format!("{name}: {failure}"))?;
        found.add(name, about, outcome, begun.elapsed());
        if !run.json {
            found.print_last();
        }
        // After each, so that a run that is broken off keeps what it has found.
        if let Some(file) = &run.markdown {
            std::fs::write(file, found.markdown())?;
        }
    }
    if run.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    }
    bench.server.stop().await?;
    Ok(ExitCode::SUCCESS)
}
