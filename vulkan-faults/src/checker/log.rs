//! Between publishers, the log and the groups: what was acknowledged is there once, and reaches every group.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Anomaly, Delivered, GroupRule, History, Logged, MayDie, Run};

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    let mut by_id: HashMap<u64, Vec<i64>> = HashMap::new();
    for event in &history.last.log {
        by_id.entry(event.id).or_default().push(event.offset);
    }
    let at: HashMap<i64, &Logged> = (history.last.log.iter())
        .map(|event| (event.offset, event))
        .collect();
    for (id, publish) in &history.publishes {
        let stored = by_id.get(id).map_or(&[][..], Vec::as_slice);
        for offset in &publish.offsets {
            match at.get(offset) {
                Some(other) if other.id == *id => {}
                Some(other) => found.push(Anomaly::new(
                    "inconsistent-offsets",
                    format!(
                        "event {id} was acknowledged at offset {offset}, where event {} stands",
                        other.id
                    ),
                )),
                None => found.push(Anomaly::new(
                    "lost-write",
                    format!("event {id} was acknowledged at offset {offset} and is not in the log"),
                )),
            }
        }
        if publish.dedup && stored.len() > 1 {
            found.push(Anomaly::new(
                "duplicate",
                format!("event {id} has one dedup id and stands at {stored:?}"),
            ));
        }
        let rolled_back = publish.failed && !publish.unknown && publish.offsets.is_empty();
        if rolled_back && !stored.is_empty() {
            found.push(Anomaly::new(
                "g1a",
                format!("event {id} was rolled back and stands in the log at {stored:?}"),
            ));
        }
    }
    handled(history, &at, found);
    owed(history, found);
    let violations = history.last.violations.iter();
    found.extend(violations.map(|text| Anomaly::new("invariant", text.as_str())));
}

/// Nobody handles what was rolled back, nor one event under two offsets' names.
fn handled(history: &History, at: &HashMap<i64, &Logged>, found: &mut Vec<Anomaly>) {
    for (group, messages) in &history.runs {
        for (offset, runs) in messages {
            let Some(run) = runs.first() else { continue };
            let event = at.get(offset);
            let other =
                |run: &Run| event.is_some_and(|event| (run.id, &run.key) != (event.id, &event.key));
            if let Some(run) = runs.iter().find(|run| other(run)) {
                found.push(Anomaly::new(
                    "inconsistent-offsets",
                    format!(
                        "{group} handled event {} of key {:?} at offset {offset}, where another stands",
                        run.id, run.key
                    ),
                ));
            }
            let publish = history.publishes.get(&run.id);
            let rolled_back =
                publish.is_some_and(|one| one.failed && !one.unknown && one.offsets.is_empty());
            if rolled_back || event.is_none() {
                found.push(Anomaly::new(
                    "g1a",
                    format!(
                        "{group} handled event {} at offset {offset}, which was never committed",
                        run.id
                    ),
                ));
            }
        }
    }
}

/// Every event of the log is done or dead in every group, and what is done was handled.
fn owed(history: &History, found: &mut Vec<Anomaly>) {
    let mut stands: BTreeMap<&str, HashMap<i64, &Delivered>> = BTreeMap::new();
    for one in &history.last.deliveries {
        let group = stands.entry(&one.group).or_default();
        group.insert(one.offset, one);
    }
    let acknowledged: HashSet<i64> = (history.publishes.values())
        .flat_map(|publish| publish.offsets.iter().copied())
        .collect();
    for group in &history.rules.groups {
        let stands = stands.get(group.name.as_str());
        let runs = history.runs.get(&group.name);
        for event in &history.last.log {
            if group.keyed_only && event.key.is_none() {
                continue;
            }
            let offset = event.offset;
            let last = stands.and_then(|all| all.get(&offset)).copied();
            let runs = runs.and_then(|all| all.get(&offset));
            let runs = runs.map_or(&[][..], Vec::as_slice);
            match last.map(|last| last.status.as_str()) {
                Some("done") => {
                    if !runs.iter().any(|run| run.done_at().is_some()) {
                        found.push(Anomaly::new(
                            "silent-skip",
                            format!(
                                "message {offset} of {} is done, and no handler did it",
                                group.name
                            ),
                        ));
                    }
                }
                Some("dead") => {
                    let attempts = last.map_or(0, |last| last.attempts);
                    found.extend(dead(history, group, offset, attempts, runs));
                }
                None if acknowledged.contains(&offset) => found.push(Anomaly::new(
                    "lost-write",
                    format!(
                        "event {} was acknowledged at {offset}, and {} knows nothing of it",
                        event.id, group.name
                    ),
                )),
                other => found.push(Anomaly::new(
                    "unseen",
                    format!(
                        "message {offset} of {} is {} at the end",
                        group.name,
                        other.unwrap_or("nowhere")
                    ),
                )),
            }
        }
    }
}

/// Dead is what used up its attempts, and failed in one; and only what was made to. Else it is lost.
fn dead(
    history: &History,
    group: &GroupRule,
    offset: i64,
    attempts: u32,
    runs: &[Run],
) -> Option<Anomaly> {
    let may = match &history.rules.may_die {
        MayDie::Any => true,
        MayDie::Only(offsets) => offsets.contains(&offset),
    };
    // One that was killed has no end, and has not done it either.
    let failed = runs.iter().any(|run| run.done_at().is_none());
    let (name, why) = if attempts < group.max_attempts || !failed {
        (
            "silent-skip",
            "and had more attempts, or was never handed out",
        )
    } else if !may {
        ("died", "and nothing in it fails for good")
    } else {
        return None;
    };
    let name_of = &group.name;
    Some(Anomaly::new(
        name,
        format!("message {offset} of {name_of} is dead at attempt {attempts}, {why}"),
    ))
}

#[cfg(test)]
mod tests {
    use crate::checker::MayDie;
    use crate::checker::story::Story;
    use crate::ledger::Entry;

    #[test]
    fn a_sound_history_has_no_anomaly() {
        assert_eq!(Story::sound().anomalies(), [""; 0]);
    }

    #[test]
    fn an_acknowledged_event_that_is_not_in_the_log_is_lost() {
        let mut story = Story::sound();
        story.last.log.retain(|event| event.offset != 2);
        story.last.deliveries.retain(|one| one.offset != 2);
        assert!(story.anomalies().contains(&"lost-write"));
    }

    #[test]
    fn an_acknowledged_event_that_a_group_never_heard_of_is_lost() {
        let mut story = Story::sound();
        story.last.deliveries.retain(|one| one.offset != 2);
        assert_eq!(story.anomalies(), ["lost-write"]);
    }

    #[test]
    fn a_message_that_waits_at_the_end_is_unseen() {
        let mut story = Story::sound();
        story.last.deliveries[0].status = "ready".into();
        assert_eq!(story.anomalies(), ["unseen"]);
    }

    #[test]
    fn a_message_done_that_nobody_did_was_skipped() {
        let story = Story::new().ok(1, 1).delivered(1, "done", 1);
        assert_eq!(story.anomalies(), ["silent-skip"]);
    }

    #[test]
    fn only_what_failed_to_its_last_attempt_is_dead() {
        let story = Story::new().ok(1, 1).may_die(1);
        let failed = story.clone().start(10, 1, 1).failed(20, 1, 1);
        let dead = |story: Story, attempts| story.delivered(1, "dead", attempts).anomalies();
        assert_eq!(dead(failed.clone(), 3), [""; 0]);
        // With attempts left, without having been handed out, or done.
        assert_eq!(dead(failed, 1), ["silent-skip"]);
        assert_eq!(dead(story.clone(), 3), ["silent-skip"]);
        assert_eq!(dead(story.run(1, 1), 3), ["silent-skip"]);
    }

    #[test]
    fn nothing_dies_that_was_not_made_to() {
        let story = Story::new().ok(1, 1).start(10, 1, 1).failed(20, 1, 1);
        let mut story = story.delivered(1, "dead", 3);
        assert_eq!(story.anomalies(), ["died"]);
        story.rules.may_die = MayDie::Any;
        assert_eq!(story.anomalies(), [""; 0]);
    }

    #[test]
    fn what_was_rolled_back_is_seen_by_nobody() {
        assert_eq!(Story::new().fail(7).anomalies(), [""; 0]);
        let story = Story::new()
            .fail(7)
            .in_log(7, 7)
            .run(7, 7)
            .delivered(7, "done", 1);
        assert!(story.anomalies().contains(&"g1a"));
        // Nobody knows: it may be there, or not.
        assert_eq!(Story::new().info(7).anomalies(), [""; 0]);
        let story = Story::new()
            .info(7)
            .in_log(7, 7)
            .run(7, 7)
            .delivered(7, "done", 1);
        assert_eq!(story.anomalies(), [""; 0]);
    }

    #[test]
    fn one_dedup_id_stands_once() {
        let story = Story::new().deduped(3, 3);
        assert_eq!(story.run(3, 3).delivered(3, "done", 1).anomalies(), [""; 0]);
        let story = Story::new().deduped(3, 3).in_log(3, 4);
        let story = story
            .run(3, 3)
            .delivered(3, "done", 1)
            .run(3, 4)
            .delivered(4, "done", 1);
        assert_eq!(story.anomalies(), ["duplicate"]);
    }

    #[test]
    fn an_offset_belongs_to_one_event() {
        let mut story = Story::sound();
        story.last.log[1].id = 99;
        assert!(story.anomalies().contains(&"inconsistent-offsets"));
    }

    #[test]
    fn a_handler_gets_the_event_that_stands_there() {
        let handled = |id, key: Option<&str>| {
            let (group, key) = ("single".to_owned(), key.map(str::to_owned));
            let (offset, attempt) = (1, 1);
            let story = Story::new().keyed(1, 1, "k").ok(2, 2).run_at(50, 2, 1);
            let start = Entry::Start {
                group,
                offset,
                id,
                attempt,
                key,
            };
            let story = story.note(1, start).done(2, 1, 1);
            let story = story.delivered(1, "done", 1).delivered(2, "done", 1);
            story.anomalies()
        };
        assert_eq!(handled(1, Some("k")), [""; 0]);
        assert_eq!(handled(2, Some("k")), ["inconsistent-offsets"]);
        assert_eq!(handled(1, Some("other")), ["inconsistent-offsets"]);
        assert_eq!(handled(1, None), ["inconsistent-offsets"]);
    }

    #[test]
    fn what_the_engine_says_of_itself_counts() {
        let mut story = Story::sound();
        story.last.violations.push("1 load single: a gap".into());
        assert_eq!(story.anomalies(), ["invariant"]);
    }

    #[test]
    fn what_a_failover_took_back_is_owed_by_nobody_and_nothing_else_is() {
        let lost = Story::sound().ok(7, 9).run(7, 9);
        let mut taken_back = lost.clone();
        taken_back.last.log.retain(|event| event.id != 7);
        assert!(taken_back.anomalies().contains(&"lost-write"));
        taken_back.last.forgotten = [(9, 7)].into();
        assert_eq!(taken_back.anomalies(), [""; 0]);
        // Its offset is another's now, which is owed as any other.
        let mut again = taken_back.clone().ok(8, 9);
        assert_eq!(again.anomalies(), ["lost-write"]);
        again = again.run(8, 9).delivered(9, "done", 1);
        assert_eq!(again.anomalies(), [""; 0]);
    }
}
