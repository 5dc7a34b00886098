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
    pub(crate) recovery: Option<f64>,
    /// Anomalies by name.
    pub(crate) anomalies: BTreeMap<&'static str, usize>,
}

impl Counts {
    pub(crate) fn of(history: &History, anomalies: &[Anomaly]) -> Self {
        let mut by_name = BTreeMap::new();
        for anomaly in anomalies {
            *by_name.entry(anomaly.name).or_insert(0) += 1;
        }
        let lost = ["lost-write", "unseen", "silent-skip"];
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
            recovery: recovery(history),
            anomalies: by_name,
        }
    }
}

/// The longest time from a return until every group had done something that began after it.
fn recovery(history: &History) -> Option<f64> {
    let backs = history
        .lines
        .iter()
        .filter(|line| matches!(line.entry, Entry::Back { .. }));
    let groups: Vec<Vec<(u64, u64)>> = (history.runs.values())
        .map(|messages| {
            let mut all: Vec<(u64, u64)> = (messages.values().flatten())
                .filter_map(|run| Some((run.start, run.done_at()?)))
                .collect();
            all.sort_unstable();
            all
        })
        .collect();
    let times = backs.filter_map(|back| {
        groups
            .iter()
            .map(|group| {
                let first = group.partition_point(|(start, _)| *start < back.at);
                Some(group.get(first)?.1 - back.at)
            })
            .max()
            .flatten()
    });
    times.max().map(seconds)
}

/// The value below which so much of them lies. Sorts them.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values
        .get(at.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}
