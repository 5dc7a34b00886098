//! Other queues on Postgres: programs of `benches/peers`, which this one builds, starts, and listens to.
//!
//! What they print and take is described in `benches/peers/README.md`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::Result;
use crate::bench::Bench;
use crate::meter::{Cost, Meter};
use crate::scenario::hold;

/// What has no retries per message, and so is no peer of a target that speaks of those.
const WITHOUT_RETRIES: &[&str] = &["pgq"];

/// The peers that are measured beside Vulkan.
#[derive(Default)]
pub(crate) struct Peers(Vec<Peer>);

/// Another queue.
#[derive(Clone)]
pub(crate) struct Peer {
    name: String,
    program: PathBuf,
}

/// What a peer is to do.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Messages that are there already.
    Drain { messages: u64, slots: usize },
    /// Messages that come meanwhile: as many as it can take, or so many a second.
    Steady {
        seconds: u64,
        slots: usize,
        work_ms: u64,
        rate: Option<u64>,
    },
}

/// What a peer has done.
pub(crate) struct Done {
    pub(crate) handled: u64,
    pub(crate) seconds: f64,
    pub(crate) cost: Cost,
    /// Messages handled so far, each second.
    pub(crate) progress: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Ready {},
    Progress {
        handled: u64,
    },
    Report {
        handled: u64,
        seconds: f64,
        cpu_seconds: Option<f64>,
        peak_bytes: Option<u64>,
    },
}

#[derive(Deserialize)]
struct List {
    peers: Vec<String>,
}

impl Peers {
    /// Builds the programs, if any is asked for, and finds those of these names.
    pub(crate) async fn choose(names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(Self::default());
        }
        let program = build().await?;
        let output = Command::new(&program).arg("list").output().await?;
        let List { peers } = serde_json::from_slice(&output.stdout)?;
        if let Some(unknown) = names
            .iter()
            .find(|name| *name != "all" && !peers.contains(name))
        {
            return Err(format!(
                "there is no peer \"{unknown}\"; there are {}",
                peers.join(", ")
            )
            .into());
        }
        let all = names.iter().any(|name| name == "all");
        Ok(Self(
            peers
                .into_iter()
                .filter(|peer| all || names.contains(peer))
                .map(|name| Peer {
                    name,
                    program: program.clone(),
                })
                .collect(),
        ))
    }

    pub(crate) fn all(&self) -> &[Peer] {
        &self.0
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(Peer::name).collect()
    }
}

impl Peer {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it retries each message by itself.
    pub(crate) fn retries_each(&self) -> bool {
        !WITHOUT_RETRIES.contains(&self.name.as_str())
    }

    /// As many messages at once as it was fastest with: see `benches/peers/README.md`.
    pub(crate) fn slots(&self) -> usize {
        match self.name.as_str() {
            "awa" => 1024,
            "underway" => 32,
            _ => 256,
        }
    }

    /// As many messages as it drains within some seconds.
    pub(crate) fn backlog(&self) -> u64 {
        match self.name.as_str() {
            "underway" => 1_000,
            "sqlxmq" => 20_000,
            _ => 200_000,
        }
    }

    /// Lets it work, in a database of its own.
    pub(crate) async fn run(&self, bench: &Bench, work: Work) -> Result<Done> {
        let database = bench.server.empty().await?;
        let pool = PgPool::connect(&database.url()).await?;
        let done = self.work(bench, &database.url(), &pool, work).await;
        pool.close().await;
        done.map_err(|failure| format!("peer {}: {failure}", self.name).into())
    }

    /// As [`run`](Self::run), while other sessions hold a snapshot and an xid.
    pub(crate) async fn run_held(&self, bench: &Bench, work: Work) -> Result<Done> {
        let database = bench.server.empty().await?;
        let pool = PgPool::connect(&database.url()).await?;
        let holders = hold(&pool).await?;
        let done = self.work(bench, &database.url(), &pool, work).await;
        drop(holders);
        pool.close().await;
        done.map_err(|failure| format!("peer {}: {failure}", self.name).into())
    }

    async fn work(&self, bench: &Bench, url: &str, pool: &PgPool, work: Work) -> Result<Done> {
        let mut child = Command::new(&self.program)
            .arg(&self.name)
            .args(work.arguments())
            .env("DATABASE_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().ok_or("it has no input")?;
        let output = child.stdout.take().ok_or("it has no output")?;
        let mut lines = BufReader::new(output).lines();
        let mut meter = None;
        let mut progress = Vec::new();
        while let Some(line) = lines.next_line().await? {
            match serde_json::from_str(&line)? {
                Line::Ready {} => {
                    meter = Some(Meter::begin(&bench.server, pool).await?);
                    input.write_all(b"begin\n").await?;
                }
                Line::Progress { handled } => progress.push(handled),
                Line::Report {
                    handled,
                    seconds,
                    cpu_seconds,
                    peak_bytes,
                } => {
                    let meter = meter.ok_or("it was done before it was ready")?;
                    let cost = Cost {
                        client_cpu_seconds: cpu_seconds,
                        peak_bytes,
                        ..meter.end().await?
                    };
                    child.wait().await?;
                    return Ok(Done {
                        handled,
                        seconds,
                        cost,
                        progress,
                    });
                }
            }
        }
        Err("it ended without a report; its reason stands above".into())
    }
}

impl Work {
    /// As the peers take them: names and values apart.
    fn arguments(self) -> Vec<String> {
        let with = |name: &str, value: u64| [name.to_owned(), value.to_string()];
        match self {
            Self::Drain { messages, slots } => {
                let mut arguments = vec!["drain".to_owned()];
                arguments.extend(with("--messages", messages));
                arguments.extend(with("--slots", slots as u64));
                arguments
            }
            Self::Steady {
                seconds,
                slots,
                work_ms,
                rate,
            } => {
                let mut arguments = vec!["steady".to_owned()];
                arguments.extend(with("--seconds", seconds));
                arguments.extend(with("--slots", slots as u64));
                arguments.extend(with("--work-ms", work_ms));
                arguments.extend(rate.into_iter().flat_map(|rate| with("--rate", rate)));
                arguments
            }
        }
    }
}

/// A line that cargo prints of what it has built.
#[derive(Serialize, Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

async fn build() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers/Cargo.toml");
    eprintln!("building the peers");
    let output = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--message-format=json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(&manifest)
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("the peers of {} do not build", manifest.display()).into());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Built>(line).ok()?.executable)
        .next_back()
        .ok_or_else(|| "cargo has built no program of the peers".into())
}
