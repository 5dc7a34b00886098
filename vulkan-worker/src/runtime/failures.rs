use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use vulkan_core::engine::{Fate, Item, Outcome, Verdict};

use super::events::{Attempt, Listeners, WorkerEvent};

/// More than this many wait to be settled only if something was forgotten.
const FULL: usize = 10_000;

/// Attempts that did not succeed and are not settled yet. Whether a message is dead is the database's to say,
/// and by then the delivery is gone: this keeps who it was.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<(i64, i64), Failure>>);

#[derive(Debug)]
struct Failure {
    handler: String,
    kind: String,
    number: u32,
    max: u32,
}

impl Failures {
    /// Notes such an attempt, before its outcome can be settled.
    pub(super) fn note(&self, attempt: &Attempt<'_>, token: i64) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= FULL {
            // Failures of lost leases are never settled. Who is forgotten is told without a handler.
            failures.clear();
        }
        failures.insert(
            (attempt.offset, token),
            Failure {
                handler: attempt.handler.to_owned(),
                kind: attempt.kind.to_owned(),
                number: attempt.number,
                max: attempt.max,
            },
        );
    }

    /// Tells which of the settled messages are dead, and forgets all of them.
    pub(super) fn settled(
        &self,
        (stream, group): (&str, &str),
        items: &[Item],
        verdicts: &[Verdict],
        listeners: &Listeners,
    ) {
        let dead: HashSet<i64> = verdicts
            .iter()
            .filter(|verdict| verdict.fate == Fate::Dead)
            .filter_map(|verdict| verdict.offset)
            .collect();
        for item in items {
            let error = match &item.outcome {
                Outcome::Retry { error, .. } | Outcome::Dead { error } => error,
                // It is dead if it was cancelled meanwhile.
                Outcome::Snooze { .. } | Outcome::Release => "it was cancelled",
                Outcome::Done | Outcome::Progress | Outcome::Running => continue,
            };
            let failure = self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&(item.offset, item.token));
            if !dead.contains(&item.offset) {
                continue;
            }
            let attempt = Attempt {
                stream,
                group,
                handler: failure.as_ref().map_or("", |failure| &failure.handler),
                offset: item.offset,
                kind: failure.as_ref().map_or("", |failure| &failure.kind),
                number: failure.as_ref().map_or(0, |failure| failure.number),
                max: failure.as_ref().map_or(0, |failure| failure.max),
            };
            listeners.tell(&WorkerEvent::Dead { attempt, error });
        }
    }
}
