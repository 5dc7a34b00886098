//! What a run has found, as tables, as Markdown, and as JSON.

mod markdown;
mod table;

use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::outcome::Outcome;
use crate::peer::Peers;
use crate::server::Server;

/// What a run has found.
#[derive(Serialize)]
pub(crate) struct Report {
    version: &'static str,
    postgres: String,
    machine: Machine,
    quick: bool,
    peers: Vec<String>,
    scenarios: Vec<Section>,
}

#[derive(Serialize)]
struct Machine {
    cores: usize,
    processor: String,
    memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Section {
    name: &'static str,
    about: &'static str,
    seconds: f64,
    #[serde(flatten)]
    outcome: Outcome,
}

impl Report {
    pub(crate) async fn begin(server: &Server, quick: bool, peers: &Peers) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            postgres: server.version().await?,
            machine: Machine::this(),
            quick,
            peers: peers.names().into_iter().map(str::to_owned).collect(),
            scenarios: Vec::new(),
        })
    }

    pub(crate) fn add(
        &mut self,
        name: &'static str,
        about: &'static str,
        outcome: Outcome,
        took: Duration,
    ) {
        self.scenarios.push(Section {
            name,
            about,
            seconds: took.as_secs_f64(),
            outcome,
        });
    }

    /// Prints the tables of the scenario that was added last.
    pub(crate) fn print_last(&self) {
        if let Some(last) = self.scenarios.last() {
            println!("{}", table::of(&last.outcome));
        }
    }

    pub(crate) fn markdown(&self) -> String {
        markdown::of(self)
    }
}

impl Machine {
    fn this() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: line_of("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            memory_bytes: line_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .map(|kilobytes| kilobytes * 1024),
        }
    }
}

/// What stands behind a name in a file of Linux' own.
fn line_of(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
