//! A run: a server, its processes, their ledgers, and at the end the oracle.

mod directory;
mod finish;
mod load;
mod plan;
mod process;
mod sample;
mod wait;

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::PgPool;
use tokio::task::JoinHandle;
use vulkan::{Client, Message};

use directory::Directory;
pub(crate) use finish::{Outcome, Target};
pub(crate) use load::Setup;
pub(crate) use plan::Plan;
pub(crate) use process::Process;

use crate::Result;
use crate::child::{Deed, Job, Order, Read, STREAM};
use crate::clock::mono_us;
use crate::ledger::{Entry, Line, Pen, Tail};
use crate::server::Server;

/// A run of one fault.
pub(crate) struct Stand {
    pub(crate) plan: Plan,
    pub(crate) name: &'static str,
    pub(crate) setup: Setup,
    pub(crate) server: Server,
    pub(crate) workers: Vec<Process>,
    /// Publishers and readers.
    pub(crate) others: Vec<Process>,
    pub(crate) lines: Vec<Line>,
    pub(crate) targets: Vec<Target>,
    /// Where workers and publishers connect; the server's own address unless set.
    pub(crate) url: String,
    pub(crate) begun: u64,
    /// Events that a failover has taken back, with the offsets they had.
    pub(crate) forgotten: BTreeSet<(i64, u64)>,
    ids: u64,
    publishers: u64,
    pen: Pen,
    tail: Tail,
    directory: Directory,
    sampling: Option<JoinHandle<()>>,
}

impl Stand {
    /// Starts the server, and nothing else yet.
    pub(crate) async fn start(plan: &Plan, name: &'static str, setup: Setup) -> Result<Self> {
        let mut directory = Directory::new(plan.keep.as_deref(), name)?;
        let server = Server::start(&setup.settings).await?;
        directory.server = server.directory().ok();
        let url = server.url();
        let sampling = sample::sample(server.pool.clone(), directory.path().join("samples.csv"));
        Ok(Self {
            plan: plan.clone(),
            name,
            setup,
            workers: Vec::new(),
            others: Vec::new(),
            lines: Vec::new(),
            targets: Vec::new(),
            url,
            begun: mono_us(),
            forgotten: BTreeSet::new(),
            ids: 1 << 50,
            publishers: 0,
            pen: Pen::open(directory.path(), "run")?,
            tail: Tail::new(directory.path()),
            sampling: Some(tokio::spawn(sampling)),
            directory,
            server,
        })
    }

    /// Starts the server and the whole load, and waits until it flows.
    pub(crate) async fn under_load(plan: &Plan, name: &'static str, setup: Setup) -> Result<Self> {
        let mut stand = Self::start(plan, name, setup).await?;
        stand.load().await?;
        Ok(stand)
    }

    /// Starts all workers and the publisher, and waits until every group works.
    pub(crate) async fn load(&mut self) -> Result<()> {
        for _ in 0..self.setup.workers {
            self.add_worker()?;
        }
        self.add_publisher()?;
        self.until_flows(60).await?;
        Ok(())
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.server.pool
    }

    pub(crate) fn ledger(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn note(&self, entry: Entry) {
        self.pen.note(entry);
    }

    /// Notes that something is taken away.
    pub(crate) fn gone(&self, what: &str) {
        self.note(Entry::Gone { what: what.into() });
    }

    /// Notes that it is there again.
    pub(crate) fn back(&self, what: &str) {
        self.note(Entry::Back { what: what.into() });
    }

    /// Starts one more worker.
    pub(crate) fn add_worker(&mut self) -> Result<()> {
        let process = self.new_worker(&[])?;
        self.workers.push(process);
        Ok(())
    }

    /// A new worker process, under a program if one is given, such as `faketime`.
    pub(crate) fn new_worker(&self, under: &[&str]) -> Result<Process> {
        let order = self.setup.work(&self.url, self.ledger());
        Process::start(&Order::Work(order), under)
    }

    /// Starts a publisher.
    pub(crate) fn add_publisher(&mut self) -> Result<()> {
        self.publishers += 1;
        let first = self.publishers << 40;
        let order = self
            .setup
            .publish(&self.url, self.ledger(), self.plan.rate, first);
        self.others
            .push(Process::start(&Order::Publish(order), &[])?);
        Ok(())
    }

    /// Starts a cursor reader.
    pub(crate) fn add_reader(&mut self, name: &str) -> Result<()> {
        let order = Read {
            url: self.url.clone(),
            ledger: self.ledger().into(),
            name: name.into(),
        };
        self.others.push(Process::start(&Order::Read(order), &[])?);
        Ok(())
    }

    /// Publishes one message, straight to the server. Returns its offset.
    pub(crate) async fn publish(&mut self, deed: Deed, key: Option<&str>) -> Result<i64> {
        let id = self.ids;
        self.ids += 1;
        let pad = String::new();
        let kind = if key.is_some() {
            "keyed.made"
        } else {
            "plain.made"
        };
        let mut message = Message::new(STREAM, kind, &Job { id, deed, pad })?;
        if let Some(key) = key {
            message = message.key(key);
        }
        self.note(Entry::Invoke {
            id,
            key: key.map(str::to_owned),
            dedup: false,
        });
        let offset = Client::new(self.pool().clone()).publish(message).await?;
        self.note(Entry::Ok { id, offset });
        Ok(offset)
    }

    /// Takes in what the ledgers say by now.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        let more = self.tail.more()?;
        self.lines.extend(more);
        Ok(())
    }

    /// Kills a worker, and starts another in its place.
    pub(crate) async fn kill_worker(&mut self, nth: usize) -> Result<()> {
        let new = self.new_worker(&[])?;
        let mut killed = std::mem::replace(&mut self.workers[nth], new);
        self.signal(killed.pid, "KILL")?;
        killed.ended().await?;
        Ok(())
    }

    /// Sends a signal to a process, and notes it.
    pub(crate) fn signal(&self, to: u32, name: &str) -> Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = match name {
            "KILL" => Signal::KILL,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            "TERM" => Signal::TERM,
            other => return Err(format!("signal {other} is not known here").into()),
        };
        let pid = Pid::from_raw(i32::try_from(to)?).ok_or("no process has the id 0")?;
        let name = name.to_owned();
        // A kill counts from before it can have had an effect; where a process stops, from after it.
        self.note(Entry::Signal { to, name });
        Ok(kill_process(pid, signal)?)
    }

    /// States a target, and whether it was met.
    pub(crate) fn expect(
        &mut self,
        what: impl Into<String>,
        measured: impl Into<String>,
        target: impl Into<String>,
        met: bool,
    ) {
        self.targets.push(Target {
            what: what.into(),
            measured: measured.into(),
            target: target.into(),
            met,
        });
    }
}
