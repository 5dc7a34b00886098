//! Workers under measurement: processes of their own, so that their memory and their CPU are theirs alone.
//!
//! The parent sends an [`WorkOrder`] and tells when to begin; the child says how far it is, and what it has used.

pub(crate) mod child;
mod handlers;
mod parent;
mod tally;

use serde::{Deserialize, Serialize};

pub(crate) use parent::{Crew, Worked};

use crate::processes::Used;

/// What a worker process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorkOrder {
    pub(crate) url: String,
    pub(crate) groups: Vec<String>,
    /// How many messages are handled at once.
    pub(crate) slots: usize,
    pub(crate) deed: Deed,
}

/// What the handler does with a message, beside decoding and counting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deed {
    Nothing,
    /// Waits, as for another service.
    Sleep {
        millis: u64,
    },
    /// Fails at the first attempt of every so many messages.
    FailEvery(u64),
    /// Looks whether the messages of each key come in order.
    InOrder {
        keys: u32,
    },
    /// Measures the time since the message was about to be published.
    Latency,
    /// Inserts a row, in one transaction with the message.
    Insert,
    /// Inserts a row for each message, in one transaction with so many of them.
    InsertBatch(usize),
}

/// A line from a worker process to its parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    /// It has connected, and waits for a line.
    Ready,
    Progress(Progress),
    Report(Report),
}

/// How far a worker process is.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Messages handled.
    pub(crate) handled: u64,
    /// Those of them that are not on key 0.
    pub(crate) others: u64,
    pub(crate) at_us: u64,
}

/// What a worker process has done, at its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) handled: u64,
    /// Messages that came before an earlier one of their key.
    pub(crate) out_of_order: u64,
    /// When everything it had handled was settled.
    pub(crate) settled_us: u64,
    /// CPU seconds since it was told to begin, and memory.
    pub(crate) used: Used,
    pub(crate) latency: Option<Latency>,
}

/// Times from before a publish to the start of the handler, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}
