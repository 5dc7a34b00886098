//! One message, one holder: attempts, leases and fences.

use std::collections::HashMap;

use super::{Anomaly, GroupRule, History, Run};
use crate::ledger::{Entry, How};

/// From a claim to the begin of the last of its messages, at most: what waits longer is given back or has a lease
/// of its own. So much earlier than by the begin of its handler can a lease have run out.
const WAITED: u64 = 1_500_000;
/// After a handler's end its worker reports it within about a second.
const REPORTED: u64 = 3_000_000;

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    let none = std::collections::BTreeMap::new();
    for group in &history.rules.groups {
        let last: HashMap<i64, (&str, u32)> = (history.last.deliveries.iter())
            .filter(|one| one.group == group.name)
            .map(|one| (one.offset, (one.status.as_str(), one.attempts)))
            .collect();
        let settled = settled(history, &group.name);
        for (&offset, runs) in history.runs.get(&group.name).unwrap_or(&none) {
            let mut say = |name, detail: String| {
                found.push(Anomaly::new(
                    name,
                    format!("message {offset} of {}: {detail}", group.name),
                ));
            };
            attempts(group, runs, &mut say);
            pairs(history, &group.name, offset, runs, &mut say);
            // A handler with a transaction has returned before the commit, which may fail: that is for `effect-not-once`.
            if !group.effects {
                done(history, &group.name, offset, runs, &settled, &mut say);
            }
            if let Some(&("done", attempts)) = last.get(&offset) {
                acknowledged(history, &group.name, offset, runs, attempts, &mut say);
            }
        }
    }
}

/// Whatever is given back to its group begins with the first attempt anew: none is ever above the most there are.
fn attempts(group: &GroupRule, runs: &[Run], say: &mut impl FnMut(&'static str, String)) {
    let most = runs.iter().map(|run| run.attempt).max().unwrap_or_default();
    if most > group.max_attempts {
        say(
            "attempt-overrun",
            format!("attempt {most} of {}", group.max_attempts),
        );
    }
}

/// A run and the one after it.
fn pairs(
    history: &History,
    group: &str,
    offset: i64,
    runs: &[Run],
    say: &mut impl FnMut(&'static str, String),
) {
    for pair in runs.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        if history.crashed_between(first.start, second.start) {
            // The claim may have gone with the crash: it repeats, which is no more than was promised.
            continue;
        }
        let same = first.attempt == second.attempt
            && !history.redriven_between(group, offset, first.start, second.start);
        // Dropped at shutdown, it was given back with no attempt spent.
        let given_back = first
            .end
            .is_some_and(|(at, how)| how == How::Cut && at <= second.start);
        // Of a lost run of a key the attempt counts for the message at its head, as far as that was reported: those
        // behind it begin again with the number they had. Whoever had the run has lost it then.
        let given_back = given_back || (first.key.is_some() && history.lost_lease(group, first));
        if same && !given_back {
            say(
                "double-claim",
                format!(
                    "attempt {} began in process {} and in process {}",
                    first.attempt, first.pid, second.pid
                ),
            );
        }
        let over = first.end.is_some_and(|(at, _)| at <= second.start);
        let since = second.start - first.start;
        // Since when its lease runs, the ledger does not say. But whoever loses one dies or is told, however short it is.
        let lease = match first.key {
            Some(_) => history.run_lease(),
            None => history.rules.lease_us.saturating_sub(WAITED),
        };
        if !over && (since < lease || !history.lost_lease(group, first)) {
            say(
                "early-reclaim",
                format!(
                    "begun again after {since} us, in the lease of process {}",
                    first.pid
                ),
            );
        }
    }
}

/// When each process's reports for the group were taken, and when they came too late.
fn settled(history: &History, group: &str) -> HashMap<u32, Vec<(u64, bool)>> {
    let mut all: HashMap<u32, Vec<(u64, bool)>> = HashMap::new();
    for line in &history.lines {
        let (of, taken) = match &line.entry {
            Entry::Settled { group } => (group, true),
            Entry::Stale { group, .. } => (group, false),
            _ => continue,
        };
        if of == group {
            all.entry(line.pid).or_default().push((line.at, taken));
        }
    }
    all
}

/// What was reported done is not handed out again. A report is known to be through when its process has had others
/// taken for some time, and none refused since.
fn done(
    history: &History,
    group: &str,
    offset: i64,
    runs: &[Run],
    settled: &HashMap<u32, Vec<(u64, bool)>>,
    say: &mut impl FnMut(&'static str, String),
) {
    for (nth, run) in runs.iter().enumerate() {
        let Some(end) = run.done_at() else { continue };
        // Its lease was lost while it ran: what it says is not heard.
        if runs[nth + 1..].iter().any(|later| later.start < end) {
            continue;
        }
        let Some(later) = runs.get(nth + 1) else {
            continue;
        };
        let reports = settled.get(&run.pid).map_or(&[][..], Vec::as_slice);
        let since = || {
            reports
                .iter()
                .filter(|(at, _)| *at > end && *at < later.start)
        };
        // The first of them may have been on its way before, when its process stood still.
        let mut late = since().filter(|(at, taken)| *taken && *at > end + REPORTED);
        let Some((through, _)) = late.nth(1) else {
            continue;
        };
        // What is refused after that is the report of something else.
        let refused = since().any(|(at, taken)| !taken && at <= through);
        let excused = history.crashed_between(end, later.start)
            || history.redriven_between(group, offset, end, later.start);
        if !refused && !excused {
            say(
                "resurrected",
                format!(
                    "done by process {}, and begun again {} us later",
                    run.pid,
                    later.start - end
                ),
            );
        }
    }
}

/// Who is done last is the holder of the last attempt.
fn acknowledged(
    history: &History,
    group: &str,
    offset: i64,
    runs: &[Run],
    attempts: u32,
    say: &mut impl FnMut(&'static str, String),
) {
    let later = runs.iter().find(|run| run.attempt > attempts);
    if let Some(later) = later
        && !history.redriven_between(group, offset, 0, u64::MAX)
        && !history.crashed_between(runs[0].start, u64::MAX)
    {
        say(
            "stale-ack-accepted",
            format!(
                "done at attempt {attempts}, though attempt {} had begun in process {}",
                later.attempt, later.pid
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::checker::story::{SECOND, Story};
    use crate::ledger::{Entry, How};

    #[test]
    fn one_attempt_begins_once() {
        let story = Story::new()
            .ok(1, 1)
            .start(1, 1, 1)
            .on(2)
            .start(9 * SECOND, 1, 1)
            .done(10 * SECOND, 1, 1);
        assert_eq!(story.delivered(1, "done", 1).anomalies(), ["double-claim"]);
    }

    #[test]
    fn what_was_given_back_or_lost_in_a_crash_may_begin_again() {
        let given_back = Story::new()
            .ok(1, 1)
            .start(1, 1, 1)
            .cut(2, 1, 1)
            .on(2)
            .run_at(9, 1, 1);
        assert_eq!(given_back.delivered(1, "done", 1).anomalies(), [""; 0]);
        let crashed = Story::new()
            .ok(1, 1)
            .run_at(1, 1, 1)
            .note(SECOND, Entry::Crash)
            .on(2)
            .run_at(2 * SECOND, 1, 1);
        assert_eq!(crashed.delivered(1, "done", 1).anomalies(), [""; 0]);
    }

    #[test]
    fn nobody_gets_a_message_before_its_lease_is_over() {
        let early = Story::new()
            .ok(1, 1)
            .start(1, 1, 1)
            .on(2)
            .start(SECOND, 1, 2)
            .done(2 * SECOND, 1, 2);
        assert_eq!(early.delivered(1, "done", 2).anomalies(), ["early-reclaim"]);
        let late = Story::new()
            .ok(1, 1)
            .start(1, 1, 1)
            .on(2)
            .start(6 * SECOND, 1, 2)
            .done(7 * SECOND, 1, 2)
            .delivered(1, "done", 2);
        // However late it is: who has lost a lease is told, unless it is dead.
        assert_eq!(late.anomalies(), ["early-reclaim"]);
        let told = late.clone().on(1).told(8 * SECOND, 1);
        assert_eq!(told.anomalies(), [""; 0]);
        assert_eq!(late.kill(2, 1).anomalies(), [""; 0]);
    }

    #[test]
    fn of_a_key_s_run_only_what_was_lost_begins_again_with_the_same_attempt() {
        let run = |story: Story, at| story.start(at, 1, 1).done(at + 1, 1, 1);
        let twice = run(run(Story::new().keyed(1, 1, "k"), 1).on(2), 9 * SECOND);
        let twice = twice.delivered(1, "done", 1);
        assert_eq!(twice.anomalies(), ["double-claim"]);
        assert_eq!(twice.clone().kill(3, 1).anomalies(), [""; 0]);
        assert_eq!(twice.on(1).told(6 * SECOND, 1).anomalies(), [""; 0]);
    }

    #[test]
    fn what_is_given_back_by_an_operator_begins_with_its_first_attempt() {
        let dead = Story::new()
            .ok(1, 1)
            .start(1, 1, 1)
            .failed(2, 1, 1)
            .redriven(SECOND, 1);
        let again = dead.on(2).run_at(2 * SECOND, 1, 1).delivered(1, "done", 1);
        assert_eq!(again.anomalies(), [""; 0]);
        // Each time once.
        let twice = again.on(1).run_at(9 * SECOND, 1, 1);
        assert_eq!(twice.anomalies(), ["double-claim"]);
    }

    #[test]
    fn the_last_attempt_says_what_becomes_of_it() {
        let story = |attempts| {
            let story = Story::new()
                .ok(1, 1)
                .start(1, 1, 1)
                .on(2)
                .start(6 * SECOND, 1, 2)
                .done(7 * SECOND, 1, 2);
            story
                .on(1)
                .told(7 * SECOND, 1)
                .done(8 * SECOND, 1, 1)
                .delivered(1, "done", attempts)
        };
        assert_eq!(story(1).anomalies(), ["stale-ack-accepted"]);
        assert_eq!(story(2).anomalies(), [""; 0]);
    }

    #[test]
    fn what_is_done_stays_done() {
        let settled = || Entry::Settled {
            group: "single".into(),
        };
        let story = Story::new()
            .ok(1, 1)
            .run_at(1, 1, 1)
            .note(4 * SECOND, settled())
            .note(5 * SECOND, settled());
        let again = story.on(2).start(6 * SECOND, 1, 2).done(7 * SECOND, 1, 2);
        assert_eq!(again.delivered(1, "done", 2).anomalies(), ["resurrected"]);
        // Refused: somebody else has had it. But not what was refused after its own report must have been through.
        let refused = |at| {
            let (group, many) = ("single".into(), 1);
            let settled = |story: Story, at| story.note(at * SECOND, settled());
            let story = Story::new().ok(1, 1).run_at(1, 1, 1);
            let story = story.note(at * SECOND + 1, Entry::Stale { group, many });
            let story = settled(settled(story, 4), 5).on(2);
            let story = story.start(8 * SECOND, 1, 2).done(9 * SECOND, 1, 2);
            story.delivered(1, "done", 2).anomalies()
        };
        assert_eq!(refused(4), [""; 0]);
        assert_eq!(refused(6), ["resurrected"]);
        // Never reported: its process may have been killed before it could.
        let story = Story::new().ok(1, 1).run_at(1, 1, 1);
        let again = story.on(2).start(6 * SECOND, 1, 2).done(7 * SECOND, 1, 2);
        assert_eq!(again.delivered(1, "done", 2).anomalies(), [""; 0]);
    }

    #[test]
    fn attempts_have_an_end() {
        let mut story = Story::new().ok(1, 1);
        for attempt in 1..=4 {
            let at = u64::from(attempt) * 10 * SECOND;
            story = story
                .start(at, 1, attempt)
                .end(at + 1, 1, attempt, How::Failed);
        }
        assert_eq!(
            story.delivered(1, "dead", 4).anomalies(),
            ["attempt-overrun"]
        );
    }
}
