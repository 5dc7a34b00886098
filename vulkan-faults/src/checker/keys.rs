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

fn one_key(
    history: &History,
    group: &str,
    key: &str,
    messages: &[(i64, &[Run])],
    found: &mut Vec<Anomaly>,
) {
    // Each call with its begin and its end, in order of their begin.
    let mut calls: Vec<(u64, u64, i64, u32)> = messages
        .iter()
        .flat_map(|(offset, runs)| {
            (0..runs.len()).map(|nth| {
                (
                    runs[nth].start,
                    history.ends_at(runs, nth),
                    *offset,
                    runs[nth].pid,
                )
            })
        })
        .collect();
    calls.sort_unstable();
    let was_lost = |offset: i64, by: u32, begun: u64| {
        let runs = messages.iter().filter(|(of, _)| *of == offset);
        let mut runs = runs.flat_map(|(_, runs)| *runs);
        let run = runs.find(|run| (run.pid, run.start) == (by, begun));
        run.is_some_and(|run| history.lost_lease(group, run))
    };
    // The call that goes on for longest so far.
    let mut longest: Option<(u64, u64, i64, u32)> = None;
    for call in calls {
        let (next, ends, second, by) = call;
        if let Some((begun, ended, first, of)) = longest
            && next < ended
            && first != second
        {
            // Its process stood still, and the whole key was given to another, which begins where the run had begun: it
            // was held for some time, and is told of it. What was given back to the group comes before all others.
            let held = next - begun >= history.run_lease();
            let given_away = second < first && by != of && held && was_lost(first, of, begun);
            if given_away {
                longest = Some(call);
                continue;
            }
            if !history.crashed_between(begun, next) {
                found.push(Anomaly::new(
                    "key-overlap",
                    format!("{group}: messages {first} and {second} of key {key:?} ran at a time"),
                ));
            }
        }
        if longest.is_none_or(|(_, ended, ..)| ended <= ends) {
            longest = Some(call);
        }
    }
    // Before a message begins, all before it have ended for good: from then on none of them begins for the first time.
    for pair in messages.windows(2) {
        let ((first, before), (second, after)) = (&pair[0], &pair[1]);
        let (Some(resolved), Some(begun)) =
            (resolved(history, group, *first, before), after.first())
        else {
            continue;
        };
        if begun.start < resolved && !history.crashed_between(before[0].start, begun.start) {
            found.push(Anomaly::new(
                "key-inversion",
                format!(
                    "{group}: message {second} of key {key:?} began before {first} was resolved"
                ),
            ));
        }
    }
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
            .on(2)
            .start(6 * SECOND, 1, 2)
            .done(7 * SECOND, 1, 2);
        let story = story
            .start(8 * SECOND, 2, 1)
            .done(9 * SECOND, 2, 1)
            .on(1)
            .told(9 * SECOND, 1)
            .done(10 * SECOND, 1, 1);
        let story = story.delivered(1, "done", 2).delivered(2, "done", 1);
        assert_eq!(story.anomalies(), [""; 0]);
    }

    #[test]
    fn a_run_that_was_given_away_begins_again_where_it_began() {
        let story = two()
            .start(1, 1, 1)
            .done(2, 1, 1)
            .start(3, 2, 1)
            .on(2)
            .start(6 * SECOND, 1, 2)
            .done(7 * SECOND, 1, 2);
        let story = story
            .start(8 * SECOND, 2, 1)
            .done(9 * SECOND, 2, 1)
            .on(1)
            .done(10 * SECOND, 2, 1);
        let whole = story.delivered(1, "done", 2).delivered(2, "done", 1);
        // Nobody told the first: it was not given away, but held by two.
        assert!(whole.anomalies().contains(&"key-overlap"));
        assert_eq!(whole.told(9 * SECOND, 2).anomalies(), [""; 0]);
        // Not so soon: the first still has it.
        let story = two()
            .start(1, 1, 1)
            .done(2, 1, 1)
            .start(3, 2, 1)
            .on(2)
            .start(SECOND, 1, 2)
            .done(2 * SECOND, 1, 2);
        let story = story
            .on(1)
            .done(3 * SECOND, 2, 1)
            .delivered(1, "done", 2)
            .delivered(2, "done", 1);
        assert_eq!(story.anomalies(), ["key-overlap"]);
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
