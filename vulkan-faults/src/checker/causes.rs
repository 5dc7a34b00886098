//! Why a message may be handled again: what was done to its process, to the server, or to the clock.
//!
//! That a worker was told of a lost lease is no cause. It is what follows, also where the engine gave to another what
//! was held: then one of the two is told, too.

use std::collections::HashMap;

use super::{History, Run};
use crate::ledger::{Entry, Line};

const SECOND: u64 = 1_000_000;
/// From a claim to the begin of the last of its messages, at most: what waits longer is given back or has a lease
/// of its own. So much earlier than by the begin of its handler can a lease have run out.
pub(super) const WAITED: u64 = 3 * SECOND / 2;
/// After a handler's end its worker has reported it within so long.
const REPORTED: u64 = 3 * SECOND;
/// A commit that nobody waits for is on disk within three rounds of the WAL writer, of 0.2 s each.
const FLUSHED: u64 = SECOND;
/// A call without an answer is given up after this: what failed so began to fail so much earlier.
const ANSWER: u64 = 20 * SECOND;
/// After a process or the server goes on, what was in work is still late for so long.
const LATE: u64 = 2 * SECOND;

type Window = (u64, u64);

/// What was taken away, and when. Windows are from and to.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    /// Of each process: killed, stopped, stalled, or without an answer in time.
    processes: HashMap<u32, Vec<Window>>,
    /// What all share was away.
    away: Vec<Window>,
    /// Of a crash, from the first moment of which it may have lost something.
    crashes: Vec<Window>,
    /// When the clock of the database stepped.
    steps: Vec<u64>,
}

impl Causes {
    pub(super) fn of(lines: &[Line], lease_us: u64) -> Self {
        let mut this = Self::default();
        let (mut stopped, mut gone) = (HashMap::new(), HashMap::new());
        let mut behind = None;
        for line in lines {
            let at = line.at;
            let mut process = |pid, window| this.processes.entry(pid).or_default().push(window);
            match &line.entry {
                Entry::Signal { to, name } => match name.as_str() {
                    "KILL" => process(*to, (at, at)),
                    "STOP" => _ = stopped.insert(*to, at),
                    "CONT" => {
                        if let Some(from) = stopped.remove(to) {
                            process(*to, (from, at + LATE));
                        }
                    }
                    _ => {}
                },
                Entry::Stalled { for_us } => {
                    process(line.pid, (at.saturating_sub(*for_us), at + LATE));
                }
                Entry::Trouble { error, .. } => {
                    let silent = error.contains("no answer") || error.contains("timed out");
                    let reach = if silent { ANSWER } else { LATE };
                    process(line.pid, (at.saturating_sub(reach), at));
                }
                // What waits behind a report that takes that long has its lease extended by nobody.
                Entry::Settled { took_us, .. } if *took_us >= lease_us / 3 => {
                    process(line.pid, (at.saturating_sub(*took_us), at));
                }
                Entry::Gone { what } => _ = gone.insert(what.clone(), at),
                Entry::Back { .. } => {
                    // Under whichever name it comes back, all is there again.
                    let windows = gone.drain().map(|(_, from)| (from, at + LATE));
                    this.away.extend(windows);
                }
                Entry::Behind => behind = Some(at),
                Entry::Crash => {
                    let from = at.saturating_sub(FLUSHED);
                    let from = behind.take().map_or(from, |behind| from.min(behind));
                    this.crashes.push((from, at));
                }
                Entry::Step => this.steps.push(at),
                _ => {}
            }
        }
        for (pid, from) in stopped {
            this.processes
                .entry(pid)
                .or_default()
                .push((from, u64::MAX));
        }
        this.away
            .extend(gone.into_values().map(|from| (from, u64::MAX)));
        this
    }

    /// Whether the clock of the database stepped between two moments.
    pub(super) fn stepped(&self, from: u64, to: u64) -> bool {
        self.steps.iter().any(|at| from <= *at && *at <= to)
    }
}

fn any(windows: &[Window], from: u64, to: u64) -> bool {
    windows
        .iter()
        .any(|(begin, end)| *begin <= to && from <= *end)
}

impl History {
    /// Whether something was done to a process between two moments that can cost it a lease: it was killed or stood
    /// still, its calls failed, the server was away, or the server's clock stepped.
    pub(crate) fn disturbed(&self, pid: u32, from: u64, to: u64) -> bool {
        let causes = &self.causes;
        let own = causes.processes.get(&pid).map_or(&[][..], Vec::as_slice);
        any(own, from, to) || any(&causes.away, from, to) || causes.stepped(from, to)
    }

    /// By when what ended then had been reported: in time; or, where reports are slow, with the second of those that were
    /// answered after that time. The first of these may have been on its way before.
    pub(crate) fn reported_by(&self, group: &str, pid: u32, end: u64) -> u64 {
        let reports = self.reports.get(&(pid, group.to_owned()));
        let late = reports.and_then(|reports| {
            let first = reports.partition_point(|at| *at <= end + REPORTED);
            reports[first..].iter().take(2).next_back().copied()
        });
        (end + REPORTED).max(late.unwrap_or(0)) + SECOND
    }

    /// Until when something can have gone wrong with a run that another one follows.
    fn until(&self, group: &str, run: &Run, next: u64) -> u64 {
        run.end.map_or(next, |(at, _)| {
            next.min(self.reported_by(group, run.pid, at))
        })
    }

    /// Whether there is a reason why a run lost its lease, or was not heard, before the next began.
    pub(crate) fn excused(&self, group: &str, run: &Run, next: u64) -> bool {
        let (from, to) = (
            run.start.saturating_sub(WAITED),
            self.until(group, run, next),
        );
        self.disturbed(run.pid, from, to) || self.crash_took(group, run, next)
    }

    /// Whether a crash of the server may have lost the claim of a run, or its report: these commit without waiting for the
    /// disk. The claim of a key's run can be older than the begin of a message in it, by no more than a lease.
    pub(crate) fn crash_took(&self, group: &str, run: &Run, next: u64) -> bool {
        let before = match run.key {
            Some(_) => WAITED + self.rules.lease_us,
            None => WAITED,
        };
        let (from, to) = (
            run.start.saturating_sub(before),
            self.until(group, run, next),
        );
        any(&self.causes.crashes, from, to)
    }

    /// Whether the second may begin what the first had begun before, since its process has just been stopped or cut off and
    /// does not know that it has lost it; or since a crash lost its claim, and the first is of a claim after that.
    pub(crate) fn unaware(&self, group: &str, first: &Run, second: &Run) -> bool {
        let from = second.start.saturating_sub(WAITED);
        let crashed = || {
            let before = |(_, at): &&Window| *at < first.start;
            (self.causes.crashes.iter().any(|crash| before(&crash)))
                && self.crash_took(group, second, second.start)
        };
        first.pid != second.pid
            && second.attempt <= first.attempt
            && (self.disturbed(second.pid, from, second.start + SECOND) || crashed())
    }
}
