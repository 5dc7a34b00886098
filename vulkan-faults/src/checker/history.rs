use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::causes::Causes;
use crate::ledger::{Entry, How, Line};

/// What a run went by.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) lease_us: u64,
    pub(crate) groups: Vec<GroupRule>,
    /// Messages that fail for good. Whatever else dies should not have.
    #[serde(default)]
    pub(crate) may_die: MayDie,
    /// Readers that were given the time to read the log to its end.
    #[serde(default)]
    pub(crate) read_all: Vec<String>,
}

/// Which messages may end dead, if their attempts are used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MayDie {
    Only(BTreeSet<i64>),
    Any,
}

impl Default for MayDie {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// What a group takes and promises.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct GroupRule {
    pub(crate) name: String,
    pub(crate) max_attempts: u32,
    /// It binds the kind of keyed events alone.
    pub(crate) keyed_only: bool,
    /// Its handler leaves an effect in the transaction that marks the message done.
    pub(crate) effects: bool,
}

/// The database's last word, after everything was given time to end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Final {
    pub(crate) log: Vec<Logged>,
    pub(crate) deliveries: Vec<Delivered>,
    /// Messages of groups with effects, each with how many it left.
    pub(crate) effects: Vec<(String, i64, i64)>,
    /// The ids that transactions wrote to the application's table.
    #[serde(default)]
    pub(crate) business: BTreeSet<u64>,
    /// What `vulkan.check()` says.
    pub(crate) violations: Vec<String>,
    /// Events that a failover to an asynchronous standby took back, with the offsets they had.
    #[serde(default)]
    pub(crate) forgotten: BTreeSet<(i64, u64)>,
}

/// An event as the log has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Logged {
    pub(crate) offset: i64,
    pub(crate) id: u64,
    pub(crate) key: Option<String>,
}

/// A message as a group has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) group: String,
    pub(crate) offset: i64,
    pub(crate) status: String,
    pub(crate) attempts: u32,
}

/// What the publisher knows of an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publish {
    pub(crate) key: Option<String>,
    pub(crate) dedup: bool,
    /// Acknowledged, at these offsets: more than one if it was published again.
    pub(crate) offsets: BTreeSet<i64>,
    pub(crate) failed: bool,
    pub(crate) unknown: bool,
    /// In one transaction with a write of the application's.
    pub(crate) together: bool,
}

/// One call of a handler.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) key: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) pid: u32,
    pub(crate) start: u64,
    pub(crate) end: Option<(u64, How)>,
}

impl Run {
    pub(crate) fn done_at(&self) -> Option<u64> {
        self.end
            .and_then(|(at, how)| (how == How::Done).then_some(at))
    }
}

/// All that is known of a run.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) rules: Rules,
    pub(crate) last: Final,
    pub(crate) lines: Vec<Line>,
    pub(crate) publishes: HashMap<u64, Publish>,
    /// By group, then offset, in order of their begin.
    pub(crate) runs: BTreeMap<String, BTreeMap<i64, Vec<Run>>>,
    /// When each process was killed.
    pub(crate) kills: HashMap<u32, u64>,
    pub(crate) causes: Causes,
    /// Of messages that ended done, at which attempt.
    done: HashMap<(String, i64), u32>,
    /// When the reports of a process for a group were answered.
    pub(crate) reports: HashMap<(u32, String), Vec<u64>>,
    /// When a process was told that it has lost the lease of a message.
    pub(crate) told: HashMap<(u32, String, i64), Vec<u64>>,
    /// When dead messages were given back to their group.
    pub(crate) redriven: HashMap<(String, i64), Vec<u64>>,
}

impl History {
    pub(crate) fn new(rules: Rules, last: Final, mut lines: Vec<Line>) -> Self {
        lines.sort_by_key(|line| line.at);
        let mut this = Self {
            rules,
            last,
            ..Self::default()
        };
        // Of each process, which run of which message is open.
        let mut open: HashMap<(u32, String, i64, u32), usize> = HashMap::new();
        for line in &lines {
            let (pid, at) = (line.pid, line.at);
            match &line.entry {
                // What was taken back may be there or not, as far as its publisher is concerned; its offset may be
                // another's by now, and so nothing is said of how it was handled before.
                Entry::Ok { id, offset } | Entry::Start { id, offset, .. }
                    if this.last.forgotten.contains(&(*offset, *id)) =>
                {
                    this.publishes.entry(*id).or_default().unknown = true;
                }
                Entry::Invoke { id, key, dedup } => {
                    let publish = this.publishes.entry(*id).or_default();
                    publish.key.clone_from(key);
                    publish.dedup = *dedup;
                }
                Entry::Ok { id, offset } => {
                    this.publishes
                        .entry(*id)
                        .or_default()
                        .offsets
                        .insert(*offset);
                }
                Entry::Together { id } => {
                    this.publishes.entry(*id).or_default().together = true;
                }
                Entry::Fail { id } => this.publishes.entry(*id).or_default().failed = true,
                Entry::Info { id, .. } => this.publishes.entry(*id).or_default().unknown = true,
                Entry::Start {
                    group,
                    offset,
                    id,
                    attempt,
                    key,
                } => {
                    let runs = this.runs.entry(group.clone()).or_default();
                    let runs = runs.entry(*offset).or_default();
                    open.insert((pid, group.clone(), *offset, *attempt), runs.len());
                    runs.push(Run {
                        id: *id,
                        key: key.clone(),
                        attempt: *attempt,
                        pid,
                        start: at,
                        end: None,
                    });
                }
                Entry::End {
                    group,
                    offset,
                    attempt,
                    how,
                } => {
                    let which = open.remove(&(pid, group.clone(), *offset, *attempt));
                    let runs = this
                        .runs
                        .get_mut(group)
                        .and_then(|runs| runs.get_mut(offset));
                    if let (Some(nth), Some(runs)) = (which, runs) {
                        runs[nth].end = Some((at, *how));
                    }
                }
                Entry::Signal { to, name } if name == "KILL" => _ = this.kills.insert(*to, at),
                Entry::Settled { group, .. } => {
                    let reports = this.reports.entry((pid, group.clone())).or_default();
                    reports.push(at);
                }
                Entry::LeaseLost { group, offset } => {
                    let told = this.told.entry((pid, group.clone(), *offset));
                    told.or_default().push(at);
                }
                Entry::Redriven { group, offset } => {
                    let times = this.redriven.entry((group.clone(), *offset)).or_default();
                    times.push(at);
                }
                _ => {}
            }
        }
        this.done = (this.last.deliveries.iter())
            .filter(|one| one.status == "done")
            .map(|one| ((one.group.clone(), one.offset), one.attempts))
            .collect();
        this.causes = Causes::of(&lines, this.rules.lease_us);
        this.lines = lines;
        this
    }

    /// Whether a message was given back to its group between two moments. Its attempts are counted from 1 again.
    pub(crate) fn redriven_between(&self, group: &str, offset: i64, from: u64, to: u64) -> bool {
        let times = self.redriven.get(&(group.to_owned(), offset));
        times.is_some_and(|times| times.iter().any(|at| from <= *at && *at <= to))
    }

    /// At which attempt a message was done, by the database's last word.
    pub(crate) fn attempts_done(&self, group: &str, offset: i64) -> Option<u32> {
        self.done.get(&(group.to_owned(), offset)).copied()
    }

    /// How long a run of a key is at least held after any of its messages began: its lease is extended three times
    /// within itself, and one of these may have failed.
    pub(crate) fn run_lease(&self) -> u64 {
        self.rules.lease_us / 3
    }

    /// Until when a call of a handler can have gone on: its end, that of its process, or the moment when its
    /// message was given to another, from which on the other counts.
    pub(crate) fn ends_at(&self, runs: &[Run], nth: usize) -> u64 {
        let run = &runs[nth];
        let ended = run.end.map_or(u64::MAX, |(at, _)| at);
        let killed = self
            .kills
            .get(&run.pid)
            .copied()
            .filter(|at| *at >= run.start);
        let given_away = runs.get(nth + 1).map(|next| next.start);
        ended
            .min(killed.unwrap_or(u64::MAX))
            .min(given_away.unwrap_or(u64::MAX))
    }
}
