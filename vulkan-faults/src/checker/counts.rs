//! What a run comes to in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Anomaly, History};
use crate::clock::seconds;
use crate::ledger::{Entry, How};

/// What a run comes to in numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Counts {
    /// Events acknowledged.
    pub(crate) published: usize,
    /// Events of which nobody knows whether they were committed.
    pub(crate) unknown: usize,
    /// Messages of all groups that were handled.
    pub(crate) messages: usize,
    /// Acknowledged events, or messages of them, that are gone or not resolved at the end.
    pub(crate) lost: usize,
    /// Calls of a handler for messages that a handler had done, or was cut off in, before. Retries of failures are none.
    pub(crate) repeated: usize,
    /// Messages dead at the end.
    pub(crate) dead: usize,
    /// From the return of what was taken away until every group had done something again: the longest, in seconds.
    /// None if nothing came back, or after one return some group never did anything.
    pub(crate) recovery: Option<f64>,
    /// Returns after which some group never did anything again.
    pub(crate) unrecovered: usize,
    /// Anomalies by name.
    pub(crate) anomalies: BTreeMap<&'static str, usize>,
}

impl Counts {
    pub(crate) fn of(history: &History, anomalies: &[Anomaly]) -> Self {
        let mut by_name = BTreeMap::new();
        for anomaly in anomalies {
            *by_name.entry(anomaly.name).or_insert(0) += 1;
        }
        let lost = ["lost-write", "unseen", "silent-skip", "died"];
        let recoveries = recoveries(history);
        let runs = || history.runs.values().flat_map(|messages| messages.values());
        Self {
            published: history
                .publishes
                .values()
                .filter(|one| !one.offsets.is_empty())
                .count(),
            unknown: history
                .publishes
                .values()
                .filter(|one| one.unknown && one.offsets.is_empty())
                .count(),
            messages: runs().count(),
            lost: lost.iter().filter_map(|name| by_name.get(name)).sum(),
            repeated: runs()
                .map(|runs| {
                    let again = |run: &&super::Run| !matches!(run.end, Some((_, How::Failed)));
                    runs[..runs.len() - 1].iter().filter(again).count()
                })
                .sum(),
            dead: history
                .last
                .deliveries
                .iter()
                .filter(|one| one.status == "dead")
                .count(),
            unrecovered: recoveries.iter().filter(|one| one.is_none()).count(),
            recovery: recoveries
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.into_iter().max())
                .map(seconds),
            anomalies: by_name,
        }
    }
}

/// Of each return, the time until every group had done something that began after it; none if one never did.
fn recoveries(history: &History) -> Vec<Option<u64>> {
    let groups: Vec<Vec<(u64, u64)>> = (history.rules.groups.iter())
        .map(|group| {
            let messages = history.runs.get(&group.name).into_iter().flatten();
            let mut all: Vec<(u64, u64)> = messages
                .flat_map(|(_, runs)| runs)
                .filter_map(|run| Some((run.start, run.done_at()?)))
                .collect();
            all.sort_unstable();
            all
        })
        .collect();
    let backs = (history.lines.iter()).filter(|line| matches!(line.entry, Entry::Back { .. }));
    backs
        .map(|back| {
            let after = groups.iter().map(|group| {
                let first = group.partition_point(|(start, _)| *start < back.at);
                Some(group.get(first)?.1 - back.at)
            });
            let all: Option<Vec<u64>> = after.collect();
            all?.into_iter().max()
        })
        .collect()
}

/// The value below which so much of them lies, if there are any. Sorts them.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use crate::checker::story::{SECOND, Story};
    use crate::ledger::Entry;

    #[test]
    fn a_group_that_never_works_again_has_not_recovered() {
        let back = || Entry::Back { what: "it".into() };
        let story = Story::sound().note(0, back());
        let counts = story.counts();
        assert_eq!((counts.recovery, counts.unrecovered), (Some(0.000_011), 0));
        let counts = story.note(9 * SECOND, back()).counts();
        assert_eq!((counts.recovery, counts.unrecovered), (None, 1));
        let mut story = Story::sound().note(0, back());
        let mut other = story.rules.groups[0].clone();
        other.name = "other".into();
        story.rules.groups.push(other);
        assert_eq!(story.counts().unrecovered, 1);
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(super::quantile(&mut [], 0.99), None);
        assert_eq!(super::quantile(&mut [3.0, 1.0, 2.0], 0.5), Some(2.0));
    }
}
