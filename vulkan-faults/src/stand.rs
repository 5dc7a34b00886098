//! A run: a server, its processes, their ledgers, and at the end the oracle.

mod directory;
mod finish;
mod held;
mod load;
mod plan;
mod process;
mod publish;
mod sample;
mod target;
mod wait;

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::PgPool;
use tokio::task::JoinHandle;

use directory::Directory;
pub(crate) use finish::Outcome;
pub(crate) use load::Setup;
pub(crate) use plan::Plan;
pub(crate) use process::Process;
pub(crate) use publish::Event;
pub(crate) use target::{Kind, Target};

use crate::Result;
use crate::checker::MayDie;
use crate::child::{Order, Read};
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
    pub(crate) publishers: Vec<Process>,
    pub(crate) readers: Vec<Process>,
    pub(crate) lines: Vec<Line>,
    pub(crate) targets: Vec<Target>,
    /// Where workers and publishers connect; the server's own address unless set.
    pub(crate) url: String,
    pub(crate) begun: u64,
    /// Events that a failover has taken back, with the offsets they had.
    pub(crate) forgotten: BTreeSet<(i64, u64)>,
    /// Messages that fail for good.
    pub(crate) may_die: MayDie,
    /// Readers that have had the time to read everything.
    pub(crate) read_all: Vec<String>,
    /// Nothing that is done here is a reason to handle a message again.
    pub(crate) calm: bool,
    /// Messages end processes here.
    pub(crate) mortal: bool,
    /// So much of the load is to be held where nothing is in its way; none where the fault is in its way itself.
    pub(crate) least_load: Option<f64>,
    /// Events a second that publishers offer.
    offered: f64,
    /// How processes ended that nobody killed, where it was not with 0.
    failed: Vec<String>,
    ids: u64,
    publishers_begun: u64,
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
            publishers: Vec::new(),
            readers: Vec::new(),
            lines: Vec::new(),
            targets: Vec::new(),
            url,
            begun: mono_us(),
            forgotten: BTreeSet::new(),
            may_die: MayDie::default(),
            read_all: Vec::new(),
            calm: false,
            mortal: false,
            least_load: Some(0.5),
            offered: plan.rate,
            failed: Vec::new(),
            ids: 1 << 50,
            publishers_begun: 0,
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
        self.publishers_begun += 1;
        let first = self.publishers_begun << 40;
        let order = self
            .setup
            .publish(&self.url, self.ledger(), self.plan.rate, first);
        self.publishers
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
        self.readers.push(Process::start(&Order::Read(order), &[])?);
        Ok(())
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

    /// Ends a worker that nobody needs any more.
    pub(crate) async fn end_worker(&mut self, mut worker: Process) -> Result<()> {
        let status = worker.end().await?;
        self.note_end(worker.pid, status);
        Ok(())
    }

    /// Notes how a process ended that was asked to.
    fn note_end(&mut self, pid: u32, status: std::process::ExitStatus) {
        if !status.success() {
            self.failed.push(format!("process {pid}: {status}"));
        }
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
}
