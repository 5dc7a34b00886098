//! One message, one holder: attempts, leases and fences.

use std::collections::HashMap;

use super::causes::WAITED;
use super::{Anomaly, Delivered, GroupRule, History, Run};
use crate::ledger::How;

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    for rule in &history.rules.groups {
        let last: HashMap<i64, &Delivered> = (history.last.deliveries.iter())
            .filter(|one| one.group == rule.name)
            .map(|one| (one.offset, one))
            .collect();
        for (&offset, runs) in history.runs.get(&rule.name).into_iter().flatten() {
            let mut message = Message {
                history,
                rule,
                offset,
                runs,
                found,
            };
            message.attempts();
            message.pairs();
            // A handler with a transaction has returned before the commit, which may fail: that is for `effect-not-once`.
            if !rule.effects {
                message.done();
            }
            match last.get(&offset) {
                Some(last) if last.status == "done" => message.acknowledged(last.attempts),
                _ => {}
            }
        }
    }
}

/// A message and its runs, in order of their begin.
struct Message<'a> {
    history: &'a History,
    rule: &'a GroupRule,
    offset: i64,
    runs: &'a [Run],
    found: &'a mut Vec<Anomaly>,
}

impl Message<'_> {
    fn say(&mut self, name: &'static str, detail: impl std::fmt::Display) {
        let detail = format!("message {} of {}: {detail}", self.offset, self.rule.name);
        self.found.push(Anomaly::new(name, detail));
    }

    fn excused(&self, run: &Run, next: u64) -> bool {
        self.history.excused(&self.rule.name, run, next)
    }

    fn unaware(&self, first: &Run, second: &Run) -> bool {
        self.history.unaware(&self.rule.name, first, second)
    }

    fn crash_took(&self, run: &Run, next: u64) -> bool {
        self.history.crash_took(&self.rule.name, run, next)
    }

    fn redriven_between(&self, from: u64, to: u64) -> bool {
        let name = &self.rule.name;
        self.history.redriven_between(name, self.offset, from, to)
    }

    /// Whatever is given back to its group begins with the first attempt anew: none is ever above the most there are.
    fn attempts(&mut self) {
        let most = self.runs.iter().map(|run| run.attempt).max();
        let most = most.unwrap_or_default();
        if most > self.rule.max_attempts {
            let of = self.rule.max_attempts;
            self.say("attempt-overrun", format!("attempt {most} of {of}"));
        }
    }

    /// Each run with the one after it, and with the highest attempt before it.
    fn pairs(&mut self) {
        let runs = self.runs;
        for (nth, second) in runs.iter().enumerate().skip(1) {
            self.attempt_again(&runs[nth - 1], second);
            self.lease(&runs[nth - 1], second);
            let highest = (runs[..nth].iter())
                .filter(|run| !self.redriven_between(run.start, second.start))
                .max_by_key(|run| run.attempt);
            // Who does not know yet that it has lost a message may begin it late, and then at an attempt that is over.
            if let Some(first) = highest
                && second.attempt < first.attempt
                && !self.crash_took(first, second.start)
                && !self.unaware(first, second)
            {
                self.say(
                    "double-claim",
                    format!(
                        "attempt {} began in process {} after attempt {} had begun in process {}",
                        second.attempt, second.pid, first.attempt, first.pid
                    ),
                );
            }
        }
    }

    /// No attempt begins twice.
    fn attempt_again(&mut self, first: &Run, second: &Run) {
        let same =
            first.attempt == second.attempt && !self.redriven_between(first.start, second.start);
        // Dropped at shutdown, it was given back with no attempt spent.
        let given_back = (first.end).is_some_and(|(at, how)| how == How::Cut && at <= second.start);
        // Of a lost run of a key the attempt counts for the message at its head, as far as that was reported: those
        // behind it begin again with the number they had. There is a reason why it was lost, or why the second holder does
        // not know that it was.
        let lost = first.key.is_some()
            && (self.excused(first, second.start) || self.unaware(first, second));
        if same && !given_back && !lost && !self.crash_took(first, second.start) {
            self.say(
                "double-claim",
                format!(
                    "attempt {} began in process {} and in process {}",
                    first.attempt, first.pid, second.pid
                ),
            );
        }
    }

    /// Nobody has a message in work that is another's, unless its lease was lost; which takes a lease, and a reason.
    fn lease(&mut self, first: &Run, second: &Run) {
        let history = self.history;
        let over = first.end.is_some_and(|(at, _)| at <= second.start);
        if over || self.crash_took(first, second.start) {
            return;
        }
        let since = second.start - first.start;
        let lease = match first.key {
            Some(_) => history.run_lease(),
            None => history.rules.lease_us.saturating_sub(WAITED),
        };
        let before = first.start.saturating_sub(history.rules.lease_us);
        let stepped = history.causes.stepped(before, second.start);
        let unaware = second.attempt < first.attempt && self.unaware(first, second);
        if !unaware && (!(since >= lease || stepped) || !self.excused(first, second.start)) {
            self.say(
                "early-reclaim",
                format!(
                    "begun again after {since} us, in the lease of process {}, to which nothing had happened that long",
                    first.pid
                ),
            );
        }
    }

    /// What a handler has done begins again only if there is a reason why that was not heard.
    fn done(&mut self) {
        let runs = self.runs;
        for (nth, run) in runs.iter().enumerate() {
            let Some(end) = run.done_at() else { continue };
            // Its lease was lost while it ran, for which `lease` wants a reason: what it says is not heard.
            if runs[nth + 1..].iter().any(|later| later.start < end) {
                continue;
            }
            let Some(later) = runs.get(nth + 1) else {
                continue;
            };
            let excused = self.excused(run, later.start)
                || self.redriven_between(end, later.start)
                || self.unaware(run, later);
            // Another had it by then already, and what this one did is not heard either.
            let was_another_s = runs[..nth].iter().any(|other| {
                other.attempt > run.attempt || other.end.is_none_or(|(at, _)| at > run.start)
            });
            if !excused && !was_another_s {
                self.say(
                    "resurrected",
                    format!(
                        "done by process {}, and begun again {} us later in process {}",
                        run.pid,
                        later.start - end,
                        later.pid
                    ),
                );
            }
        }
    }

    /// Who is done last is the holder of the last attempt.
    fn acknowledged(&mut self, attempts: u32) {
        let runs = self.runs;
        let later = runs.iter().find(|run| run.attempt > attempts);
        if let Some(later) = later
            && !self.redriven_between(0, u64::MAX)
            && !self.crash_took(later, u64::MAX)
        {
            self.say(
                "stale-ack-accepted",
                format!(
                    "done at attempt {attempts}, though attempt {} had begun in process {}",
                    later.attempt, later.pid
                ),
            );
        }
        let mut done = (runs.iter())
            .filter(|run| run.done_at().is_some())
            .peekable();
        if done.peek().is_none() {
            // `silent-skip`, that is.
            return;
        }
        let by: Vec<&Run> = done.filter(|run| run.attempt == attempts).collect();
        if by.is_empty() {
            self.say(
                "stale-ack-accepted",
                format!("done at attempt {attempts}, which nobody did"),
            );
            return;
        }
        // Told that its lease is lost while it worked: it has no say from then on. But a crash may lose the loss, too.
        let lost = by.iter().all(|run| {
            let of = (run.pid, self.rule.name.clone(), self.offset);
            let told = self.history.told.get(&of);
            let end = run.done_at().unwrap_or_default();
            told.is_some_and(|told| told.iter().any(|at| run.start <= *at && *at < end))
                && !self.crash_took(run, u64::MAX)
        });
        if lost {
            let pid = by[0].pid;
            self.say(
                "stale-ack-accepted",
                format!(
                    "done at attempt {attempts} by process {pid}, which had been told that it lost it"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests;
