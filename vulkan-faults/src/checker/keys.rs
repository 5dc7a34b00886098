//! Order: per key one message at a time, in the order of the log.

use std::collections::BTreeMap;

use super::{Anomaly, History, Run};

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    for (group, messages) in &history.runs {
        let mut keys: BTreeMap<&str, Vec<(i64, &[Run])>> = BTreeMap::new();
        for (offset, runs) in messages {
            if let Some(key) = runs.first().and_then(|run| run.key.as_deref()) {
                keys.entry(key).or_default().push((*offset, runs));
            }
        }
        for (key, messages) in keys {
            one_key(history, group, key, &messages, found);
        }
    }
}

/// One call of a handler, from its begin to its end.
#[derive(Clone, Copy)]
struct Call<'a> {
    run: &'a Run,
    ends: u64,
    offset: i64,
}

fn one_key(
    history: &History,
    group: &str,
    key: &str,
    messages: &[(i64, &[Run])],
    found: &mut Vec<Anomaly>,
) {
    let mut calls: Vec<Call> = messages
        .iter()
        .flat_map(|(offset, runs)| {
            (0..runs.len()).map(|nth| Call {
                run: &runs[nth],
                ends: history.ends_at(runs, nth),
                offset: *offset,
            })
        })
        .collect();
    calls.sort_by_key(|call| (call.run.start, call.ends));
    // The call that goes on for longest so far.
    let mut longest: Option<Call> = None;
    for second in calls {
        let next = second.run.start;
        if let Some(first) = longest
            && next < first.ends
            && first.offset != second.offset
        {
            if is_given_away(history, group, first, second) {
                longest = Some(second);
                continue;
            }
            let crashed = [first, second]
                .iter()
                .any(|call| history.crash_took(group, call.run, next));
            if !crashed {
                found.push(Anomaly::new(
                    "key-overlap",
                    format!(
                        "{group}: messages {} and {} of key {key:?} ran at a time",
                        first.offset, second.offset
                    ),
                ));
            }
        }
        if longest.is_none_or(|longest| longest.ends <= second.ends) {
            longest = Some(second);
        }
    }
    for pair in messages.windows(2) {
        let inverted = |why: &str| {
            let (first, second) = (pair[0].0, pair[1].0);
            Anomaly::new(
                "key-inversion",
                format!("{group}: message {second} of key {key:?} {why} {first} was resolved"),
            )
        };
        if begins_before(history, group, pair[0], pair[1]) {
            found.push(inverted("began before"));
        } else if counts_before(history, group, pair[0], pair[1]) {
            found.push(inverted("was done for good by a call that began before"));
        }
    }
}

/// Whether the process of the first stood still, and the whole key was given to another, which begins where the run had
/// begun: so it was held for some time, and there is a reason. What an operator gave back comes before all others.
fn is_given_away(history: &History, group: &str, first: Call, second: Call) -> bool {
    let next = second.run.start;
    let before = first.run.start.saturating_sub(history.rules.lease_us);
    let held =
        next - first.run.start >= history.run_lease() || history.causes.stepped(before, next);
    second.offset < first.offset
        && second.run.pid != first.run.pid
        && held
        && history.excused(group, first.run, next)
}

/// Before a message begins, all before it have ended for good: from then on none of them begins for the first time.
fn begins_before(
    history: &History,
    group: &str,
    (offset, before): (i64, &[Run]),
    (_, after): (i64, &[Run]),
) -> bool {
    let (Some(resolved), Some(begun)) = (resolved(history, group, offset, before), after.first())
    else {
        return false;
    };
    // A crash can lose that it is dead, and then it comes again.
    let lost = || {
        (before.iter())
            .any(|run| run.done_at().is_none() && history.crash_took(group, run, u64::MAX))
    };
    begun.start < resolved && !lost()
}

/// Also of the calls that count, which may not be the first: one has ended before the other begins.
fn counts_before(
    history: &History,
    group: &str,
    (first, before): (i64, &[Run]),
    (second, after): (i64, &[Run]),
) -> bool {
    let given_back = |offset| history.redriven_between(group, offset, 0, u64::MAX);
    let counts = |offset, runs: &[Run]| {
        let last = history.attempts_done(group, offset)?;
        let mut done = runs.iter().filter_map(|run| Some((run, run.done_at()?)));
        done.rfind(|(run, _)| run.attempt == last)
            .map(|(run, end)| (run.pid, run.start, end))
    };
    let (Some((pid, start, ended)), Some((_, begun, _))) =
        (counts(first, before), counts(second, after))
    else {
        return false;
    };
    // Of a process that stood still the last call of an attempt may be one that nobody listened to.
    let unheard = history.disturbed(pid, start, ended);
    begun < ended && !unheard && !given_back(first) && !given_back(second)
}

/// When a message was done for the first time, or, if it never was, when its last attempt ended. What comes after it was
/// given back to its group is another story: those behind it had gone on by then.
fn resolved(history: &History, group: &str, offset: i64, runs: &[Run]) -> Option<u64> {
    let first = || {
        let before = |run: &&Run| !history.redriven_between(group, offset, 0, run.start);
        runs.iter().filter(before)
    };
    let done = first().filter_map(Run::done_at).min();
    done.or_else(|| Some(first().max_by_key(|run| run.attempt)?.end?.0))
}

#[cfg(test)]
mod tests {
    use crate::checker::story::{SECOND, Story};

    fn two() -> Story {
        Story::new().keyed(1, 1, "k").keyed(2, 2, "k")
    }

    fn end(story: Story) -> Vec<&'static str> {
        let story = story.delivered(1, "done", 1).delivered(2, "done", 1);
        story.anomalies()
    }

    #[test]
    fn one_after_the_other_is_right() {
        let story = two()
            .start(1, 1, 1)
            .done(2, 1, 1)
            .on(2)
            .start(3, 2, 1)
            .done(4, 2, 1);
        assert_eq!(end(story), [""; 0]);
    }

    #[test]
    fn two_of_a_key_at_a_time_are_not() {
        let story = two()
            .start(1, 1, 1)
            .on(2)
            .start(2, 2, 1)
            .on(1)
            .done(3, 1, 1)
            .on(2)
            .done(4, 2, 1);
        assert_eq!(end(story), ["key-overlap", "key-inversion"]);
    }

    #[test]
    fn the_later_before_the_earlier_is_not() {
        let story = two()
            .start(1, 2, 1)
            .done(2, 2, 1)
            .start(3, 1, 1)
            .done(4, 1, 1);
        assert_eq!(end(story), ["key-inversion"]);
    }

    #[test]
    fn a_zombie_overlaps_nobody_once_its_message_is_another_s() {
        let story = two()
            .start(1, 1, 1)
            .stop(2, 1)
            .on(2)
            .start(6 * SECOND, 1, 2)
            .done(7 * SECOND, 1, 2);
        let story = story
            .start(8 * SECOND, 2, 1)
            .done(9 * SECOND, 2, 1)
            .cont(9 * SECOND, 1)
            .on(1)
            .done(10 * SECOND, 1, 1);
        let story = story.delivered(1, "done", 2).delivered(2, "done", 1);
        assert_eq!(story.anomalies(), [""; 0]);
    }

    #[test]
    fn a_run_that_was_given_away_begins_again_where_it_began() {
        let story = |at: u64| {
            let story = two()
                .start(1, 1, 1)
                .done(2, 1, 1)
                .start(3, 2, 1)
                .on(2)
                .start(at, 1, 2)
                .done(at + SECOND, 1, 2);
            let story = story
                .start(at + 2 * SECOND, 2, 1)
                .done(at + 3 * SECOND, 2, 1)
                .on(1)
                .done(at + 4 * SECOND, 2, 1);
            story.delivered(1, "done", 2).delivered(2, "done", 1)
        };
        assert_eq!(story(6 * SECOND).stop(4, 1).anomalies(), [""; 0]);
        // Nothing had happened to the first: it was not given away, but held by two.
        let healthy = story(6 * SECOND).anomalies();
        assert!(healthy.contains(&"key-overlap"), "{healthy:?}");
        // Not so soon: the first still has it.
        let early = story(SECOND).stop(4, 1).anomalies();
        assert!(early.contains(&"key-overlap"), "{early:?}");
    }

    #[test]
    fn the_calls_that_count_are_in_order_too() {
        // Both were done once before, and the first again while the second was done for good.
        let story = |at: u64| {
            let story = two().run_at(1, 1, 1).run_at(3, 2, 1).kill(5, 1).on(2);
            let story = story.start(6 * SECOND, 1, 2).done(9 * SECOND, 1, 2);
            let story = story.on(3).start(at, 2, 2).done(at + SECOND, 2, 2);
            story.delivered(1, "done", 2).delivered(2, "done", 2)
        };
        assert_eq!(story(10 * SECOND).anomalies(), [""; 0]);
        let inverted = story(8 * SECOND).anomalies();
        assert!(inverted.contains(&"key-inversion"), "{inverted:?}");
    }

    #[test]
    fn what_is_given_back_by_an_operator_waits_its_turn_and_the_others_have_not_waited_for_it() {
        let story = two()
            .start(1, 1, 1)
            .failed(2, 1, 1)
            .start(3, 2, 1)
            .done(4, 2, 1);
        let again = |story: Story, at| {
            let story = story.redriven(at, 1).start(at + 1, 1, 1);
            story.done(at + 2, 1, 1)
        };
        assert_eq!(end(again(story, 10)), [""; 0]);
        let story = two()
            .start(1, 1, 1)
            .failed(2, 1, 1)
            .start(3, 2, 1)
            .done(SECOND, 2, 1);
        assert_eq!(end(again(story, 10)), ["key-overlap"]);
        // Before it is dead nobody goes past it, whatever becomes of it later.
        let story = two().start(1, 1, 1).start(3, 2, 1).done(4, 2, 1);
        let story = again(story.failed(5, 1, 1), 10);
        assert!(end(story).contains(&"key-inversion"));
    }

    #[test]
    fn a_killed_process_overlaps_nobody() {
        let story = two().start(1, 1, 1).done(2, 1, 1).start(3, 2, 1).kill(4, 1);
        let story = story.on(2).start(6 * SECOND, 2, 2).done(7 * SECOND, 2, 2);
        let story = story.delivered(1, "done", 1).delivered(2, "done", 2);
        assert_eq!(story.anomalies(), [""; 0]);
    }
}
