//! What the processes of a run do: this binary, started again in a hidden mode with an order as its argument.
//!
//! Each ends by itself when its input ends, and so with the run, however that ends.

mod deed;
mod publisher;
mod reader;
mod worker;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use deed::{Deed, Job};

use crate::Result;

/// The stream of all runs.
pub(crate) const STREAM: &str = "load";

/// What a process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    Work(Work),
    Publish(Publish),
    Read(Read),
}

/// A worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) url: String,
    pub(crate) ledger: PathBuf,
    pub(crate) groups: Vec<Group>,
    pub(crate) slots: usize,
    pub(crate) grace_ms: u64,
    pub(crate) listen: bool,
    /// Of its pool; none takes the client's own.
    pub(crate) connections: Option<u32>,
    /// How much memory the process may have, in bytes.
    pub(crate) memory: Option<u64>,
}

/// A group that a worker serves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) keyed_only: bool,
    pub(crate) effects: bool,
    pub(crate) lease_ms: u64,
    pub(crate) retries: u32,
    pub(crate) timeout_ms: Option<u64>,
    /// One message in so many fails at its first attempt; 0 is none.
    pub(crate) fails_one_in: u64,
    /// How long a handler takes at most, in milliseconds.
    pub(crate) millis: u64,
}

/// A publisher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Publish {
    pub(crate) url: String,
    pub(crate) ledger: PathBuf,
    /// Its ids are above this.
    pub(crate) first_id: u64,
    /// Events a second.
    pub(crate) rate: f64,
    pub(crate) lanes: usize,
    pub(crate) keys: u32,
    /// Of a hundred events, so many have a key.
    pub(crate) keyed_percent: u32,
    pub(crate) payload: usize,
    /// All have a dedup id, and are published again until there is an answer.
    pub(crate) only_once: bool,
    /// A transaction stays open for so long, at most.
    pub(crate) hold_ms: u64,
    pub(crate) deed: Deed,
    /// Of a hundred events, so many fail at most of their attempts.
    pub(crate) flaky_percent: u32,
}

/// A cursor reader, which reads from the beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) url: String,
    pub(crate) ledger: PathBuf,
    pub(crate) name: String,
}

pub(crate) async fn run(order: &str) -> Result<u8> {
    match serde_json::from_str(order)? {
        Order::Work(work) => worker::run(work).await,
        Order::Publish(publish) => publisher::run(publish).await.map(|()| 0),
        Order::Read(read) => reader::run(read).await.map(|()| 0),
    }
}

/// Waits for the end of the input.
async fn end_of_input() {
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread, since nothing else can give up a read of the input.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = tell.send(());
    });
    let _ = told.await;
}

/// A pool as a client makes it, for what needs one of its own.
async fn pool(url: &str, connections: u32) -> Result<sqlx::PgPool> {
    let options: sqlx::postgres::PgConnectOptions = url.parse()?;
    // As a client's own pool has it: a transaction whose connection fell silent would hold its stream back for good.
    let options = options.options([
        ("idle_in_transaction_session_timeout", "20s"),
        ("tcp_user_timeout", "20s"),
    ]);
    Ok(sqlx::postgres::PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(std::time::Duration::from_secs(10))
        .connect_lazy_with(options))
}
