//! What the measuring process has of its worker processes.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Latency, Line, Progress, Report, WorkOrder};
use crate::Result;
use crate::clock::{now_us, seconds};
use crate::meter::{Cost, Meter};
use crate::processes;

/// Nothing that is measured stands still for as long.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(5);

/// Worker processes that do the same.
pub(crate) struct Crew {
    processes: Vec<Process>,
    pub(crate) begun_us: u64,
}

/// What a crew has done.
#[derive(Debug, Clone)]
pub(crate) struct Worked {
    pub(crate) handled: u64,
    pub(crate) out_of_order: u64,
    /// From the begin until everything was settled.
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_bytes: Option<u64>,
    /// Of the first process.
    pub(crate) latency: Option<Latency>,
}

impl Worked {
    /// What all of it has cost, with the CPU and memory of the workers.
    pub(crate) async fn cost(&self, meter: Meter) -> Result<Cost> {
        let cost = meter.end().await?;
        Ok(Cost {
            client_cpu_seconds: cost
                .client_cpu_seconds
                .zip(self.cpu_seconds)
                .map(|(own, theirs)| own + theirs),
            peak_bytes: self.peak_bytes,
            ..cost
        })
    }
}

impl Crew {
    /// Starts so many processes and waits until they have connected.
    pub(crate) async fn start(many: usize, order: &WorkOrder) -> Result<Self> {
        let mut processes = Vec::new();
        for _ in 0..many {
            processes.push(Process::start(order)?);
        }
        for process in &mut processes {
            process.is_ready().await?;
        }
        Ok(Self {
            processes,
            begun_us: 0,
        })
    }

    /// Lets them work.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        self.begun_us = now_us();
        for process in &mut self.processes {
            process.begin().await?;
        }
        Ok(())
    }

    /// How far they are together.
    pub(crate) fn progress(&self) -> Progress {
        self.processes
            .iter()
            .fold(Progress::default(), |sum, process| {
                let one = *process.progress.borrow();
                Progress {
                    handled: sum.handled + one.handled,
                    others: sum.others + one.others,
                    at_us: sum.at_us.max(one.at_us),
                }
            })
    }

    /// The CPU seconds that they have used so far.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let ids = self.processes.iter().map(|process| process.child.id());
        ids.map(|id| processes::cpu_of(id?)).sum()
    }

    /// Waits until they are so far.
    pub(crate) async fn until(&self, holds: impl Fn(&Progress) -> bool) -> Result<Progress> {
        let mut last = (self.progress(), now_us());
        loop {
            let progress = self.progress();
            if holds(&progress) {
                return Ok(progress);
            }
            if progress.handled != last.0.handled {
                last = (progress, now_us());
            }
            if seconds(last.1, now_us()) > PATIENCE.as_secs_f64() {
                return Err(
                    format!("the workers stand still at {} messages", progress.handled).into(),
                );
            }
            if self.processes.iter().any(Process::has_ended) {
                return Err("a worker process has ended before its time".into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops them, and waits until what they have handled is settled.
    pub(crate) async fn stop(mut self) -> Result<Worked> {
        for process in &mut self.processes {
            process.input = None;
        }
        let mut reports = Vec::new();
        for process in self.processes {
            reports.push(process.report().await?);
        }
        let settled_us = reports.iter().map(|report| report.settled_us).max();
        Ok(Worked {
            handled: reports.iter().map(|report| report.handled).sum(),
            out_of_order: reports.iter().map(|report| report.out_of_order).sum(),
            seconds: seconds(self.begun_us, settled_us.unwrap_or_default()),
            cpu_seconds: reports.iter().map(|report| report.used.cpu_seconds).sum(),
            peak_bytes: reports
                .iter()
                .filter_map(|report| report.used.peak_bytes)
                .max(),
            latency: reports.first().and_then(|report| report.latency),
        })
    }
}

struct Process {
    child: Child,
    /// Closed, it stops the worker.
    input: Option<ChildStdin>,
    ready: watch::Receiver<bool>,
    progress: watch::Receiver<Progress>,
    reading: JoinHandle<Result<Report>>,
}

impl Process {
    fn start(order: &WorkOrder) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("work")
            .arg(serde_json::to_string(order)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("the worker has no output")?;
        let (tell_ready, ready) = watch::channel(false);
        let (tell, progress) = watch::channel(Progress::default());
        let reading = tokio::spawn(read(BufReader::new(output).lines(), tell_ready, tell));
        Ok(Self {
            input: child.stdin.take(),
            child,
            ready,
            progress,
            reading,
        })
    }

    async fn is_ready(&mut self) -> Result<()> {
        (self.ready.wait_for(|ready| *ready).await)
            .map_err(|_| "a worker process did not start; its reason stands above")?;
        Ok(())
    }

    async fn begin(&mut self) -> Result<()> {
        let input = self.input.as_mut().ok_or("the worker has been stopped")?;
        Ok(input.write_all(b"begin\n").await?)
    }

    fn has_ended(&self) -> bool {
        self.reading.is_finished()
    }

    async fn report(mut self) -> Result<Report> {
        let report = tokio::time::timeout(PATIENCE, &mut self.reading).await??;
        self.child.wait().await?;
        report
    }
}

async fn read(
    mut lines: Lines<BufReader<ChildStdout>>,
    ready: watch::Sender<bool>,
    tell: watch::Sender<Progress>,
) -> Result<Report> {
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Line::Ready => _ = ready.send(true),
            Line::Progress(progress) => _ = tell.send(progress),
            Line::Report(report) => return Ok(report),
        }
    }
    Err("a worker process ended without a report; its reason stands above".into())
}
