//! Base load B: what runs while something is taken away.

use std::path::Path;

use crate::checker::{GroupRule, Rules};
use crate::child::{Deed, Group, Publish, Work};

/// A group that takes everything.
const SINGLE: &str = "single";
/// A group that takes what has a key.
const KEYED: &str = "keyed";
/// A group whose handler leaves its effect in the transaction that marks the message done.
const LEDGER: &str = "ledger";

/// What a run is made of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    pub(crate) grace_ms: u64,
    pub(crate) groups: Vec<Group>,
    pub(crate) listen: bool,
    pub(crate) connections: Option<u32>,
    pub(crate) memory: Option<u64>,
    pub(crate) keys: u32,
    pub(crate) keyed_percent: u32,
    pub(crate) payload: usize,
    pub(crate) only_once: bool,
    pub(crate) lanes: usize,
    pub(crate) hold_ms: u64,
    pub(crate) flaky_percent: u32,
}

impl Setup {
    /// Four workers of 16 slots, three groups, a fifth of the events on a hundred keys of which few are hot, a payload
    /// of a kilobyte, leases of five seconds (extended every 1.7 s, looked after every second), one first attempt in 97 failing.
    pub(crate) fn base() -> Self {
        Self {
            settings: Vec::new(),
            workers: 4,
            slots: 16,
            grace_ms: 10_000,
            groups: [SINGLE, KEYED, LEDGER].map(Self::group).into(),
            listen: true,
            connections: None,
            memory: None,
            keys: 100,
            keyed_percent: 20,
            payload: 1024,
            only_once: false,
            lanes: 8,
            hold_ms: 0,
            flaky_percent: 0,
        }
    }

    fn group(name: &str) -> Group {
        Group {
            name: name.into(),
            keyed_only: name == KEYED,
            effects: name == LEDGER,
            lease_ms: 5000,
            retries: 9,
            timeout_ms: None,
            fails_one_in: 97,
            millis: 8,
        }
    }

    /// With another lease.
    pub(crate) fn lease(mut self, millis: u64) -> Self {
        self.groups
            .iter_mut()
            .for_each(|group| group.lease_ms = millis);
        self
    }

    /// With fewer retries.
    pub(crate) fn retries(mut self, retries: u32) -> Self {
        self.groups
            .iter_mut()
            .for_each(|group| group.retries = retries);
        self
    }

    pub(crate) fn settings(mut self, settings: &[(&'static str, &'static str)]) -> Self {
        self.settings.extend(settings);
        self
    }

    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    pub(crate) fn lease_us(&self) -> u64 {
        let shortest = self.groups.iter().map(|group| group.lease_ms).min();
        shortest.unwrap_or_default() * 1000
    }

    pub(crate) fn work(&self, url: &str, ledger: &Path) -> Work {
        Work {
            url: url.into(),
            ledger: ledger.into(),
            groups: self.groups.clone(),
            slots: self.slots,
            grace_ms: self.grace_ms,
            listen: self.listen,
            connections: self.connections,
            memory: self.memory,
        }
    }

    pub(crate) fn publish(&self, url: &str, ledger: &Path, rate: f64, first_id: u64) -> Publish {
        Publish {
            url: url.into(),
            ledger: ledger.into(),
            first_id,
            rate,
            lanes: self.lanes,
            keys: self.keys,
            keyed_percent: self.keyed_percent,
            payload: self.payload,
            only_once: self.only_once,
            hold_ms: self.hold_ms,
            deed: Deed::Work,
            flaky_percent: self.flaky_percent,
        }
    }

    /// What the oracle judges by.
    pub(crate) fn rules(&self) -> Rules {
        let rule = |group: &Group| GroupRule {
            name: group.name.clone(),
            max_attempts: group.retries + 1,
            keyed_only: group.keyed_only,
            effects: group.effects,
        };
        Rules {
            lease_us: self.lease_us(),
            groups: self.groups.iter().map(rule).collect(),
            ..Rules::default()
        }
    }
}
