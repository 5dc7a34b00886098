use serde::{Deserialize, Serialize};

/// One line of a ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When, by the clock that all processes share, in microseconds.
    pub(crate) at: u64,
    /// The process that says so.
    pub(crate) pid: u32,
    #[serde(flatten)]
    pub(crate) entry: Entry,
}

/// What happened. Publishes are `invoke`, then `ok`, `fail` (it did not happen) or `info` (nobody knows).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "kebab-case")]
pub(crate) enum Entry {
    /// The process is about to work. Its own clock is so many seconds ahead.
    Up {
        role: String,
        #[serde(default)]
        ahead: i64,
    },
    /// The process ends by itself.
    Down,
    /// An event is about to be published. The id is in its payload.
    Invoke {
        id: u64,
        key: Option<String>,
        /// Its dedup id makes it safe to publish it again.
        #[serde(default)]
        dedup: bool,
    },
    /// It is published in a transaction that writes its id to the application's table, too.
    Together { id: u64 },
    /// It is committed, at this offset.
    Ok { id: u64, offset: i64 },
    /// It was rolled back, or never sent.
    Fail { id: u64 },
    /// It may have been committed.
    Info { id: u64, why: String },
    /// A handler begins.
    Start {
        group: String,
        offset: i64,
        id: u64,
        attempt: u32,
        key: Option<String>,
    },
    /// A handler ends.
    End {
        group: String,
        offset: i64,
        attempt: u32,
        how: How,
    },
    /// A cursor reader got this event. A session sees a higher offset each time.
    Read { reader: String, offset: i64 },
    /// A claim brought messages.
    Claimed { group: String, took_us: u64 },
    /// The database took a report of this process for the group.
    Settled {
        group: String,
        #[serde(default)]
        took_us: u64,
    },
    /// A report of this process came too late.
    Stale { group: String, many: usize },
    /// This process was told that it lost a lease.
    LeaseLost { group: String, offset: i64 },
    /// A call of the worker failed.
    Trouble { call: String, error: String },
    /// Nothing of the process moved for so long: it was stopped, its threads were blocked, or it had no processor.
    Stalled { for_us: u64 },
    /// Whether the worker says that it is ready changed.
    Ready { ready: bool, why: String },
    /// The run sends a signal to a process.
    Signal { to: u32, name: String },
    /// The server was ended without a chance to write what it had not.
    Crash,
    /// From now on nothing reaches the standby: a crash loses what comes after this.
    Behind,
    /// The clock of the database steps: leases run out early, or late.
    Step,
    /// What the fault takes away is gone.
    Gone { what: String },
    /// It is there again: from now on the time to recover counts.
    Back { what: String },
    /// An operator is about to give a dead message back to its group.
    Redriven { group: String, offset: i64 },
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// It returned `Ok`.
    Done,
    /// It returned an error, or panicked.
    Failed,
    /// It was dropped.
    Cut,
}
