use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use vulkan_core::engine::Claimed;

/// Where a message's state stands, and so how it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// In a claim, by its token.
    Claim(i64),
    /// In a row of its own, by its token.
    Own(i64),
    /// In a lane.
    Lane {
        /// The key's hash.
        lane: i64,
        /// The lane's token.
        token: i64,
    },
}

/// What one runner takes at a time: a message, or a run of messages of one key.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) first: Claimed,
    /// The rest of a run.
    pub(crate) rest: VecDeque<Claimed>,
    pub(crate) source: Source,
    pub(crate) taken: Instant,
    /// When its lease ends, unless it is renewed; of a run that goes on, its lane knows.
    pub(crate) until: Instant,
    /// Held as long as a message is in work that came back from a lost lease.
    pub(crate) _solo: Option<OwnedSemaphorePermit>,
}

impl Unit {
    /// Whether its first message stands alone where others are handled together: it failed before, or may have
    /// killed its process.
    pub(crate) fn is_alone(&self) -> bool {
        self.first.attempt > 1 || self.first.solo
    }
}

/// How soon a settlement is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Somebody may wait for it: a retry, the next messages of a key.
    Due,
    /// Nobody learns anything by it: a claim that is done, all of it at the first attempt.
    Done,
}
