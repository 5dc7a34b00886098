//! The oracle: reads the ledgers of a run and the database's last word offline, and names what must not be.
//!
//! The names are those of Jepsen's queue checkers where they have one.

mod causes;
mod claims;
mod counts;
mod effects;
mod history;
mod keys;
mod log;
mod readers;
#[cfg(test)]
mod story;
mod together;

use std::fmt;

pub(crate) use counts::{Counts, quantile};
pub(crate) use history::{Delivered, Final, GroupRule, History, Logged, MayDie, Rules, Run};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anomaly {
    pub(crate) name: &'static str,
    pub(crate) detail: String,
}

/// What the oracle looks for. `archive-gap` and `archive-dup` come with the archive, which is not there yet.
pub(crate) const NAMES: [&str; 19] = [
    "lost-write",
    "unseen",
    "silent-skip",
    "died",
    "g1a",
    "torn-transaction",
    "inconsistent-offsets",
    "duplicate",
    "poll-skip",
    "nonmonotonic-poll",
    "double-claim",
    "early-reclaim",
    "stale-ack-accepted",
    "key-overlap",
    "key-inversion",
    "resurrected",
    "attempt-overrun",
    "effect-not-once",
    "invariant",
];

impl Anomaly {
    fn new(name: &'static str, detail: impl Into<String>) -> Self {
        debug_assert!(NAMES.contains(&name), "{name}");
        Self {
            name,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

/// Everything that is wrong with a history.
pub(crate) fn check(history: &History) -> Vec<Anomaly> {
    let mut found = Vec::new();
    log::check(history, &mut found);
    readers::check(history, &mut found);
    claims::check(history, &mut found);
    keys::check(history, &mut found);
    effects::check(history, &mut found);
    together::check(history, &mut found);
    found
}
