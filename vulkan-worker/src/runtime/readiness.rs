use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::events::{DatabaseCall, WorkerEvent};

/// A worker asks the database for something every few seconds, at the least: no answer for so long is an outage.
const SILENT: Duration = Duration::from_secs(10);
/// Longer than a call that fails takes, with the rest before the next: who has not failed again since does not ask any more,
/// such as a claimer whose slots are all taken.
const STALE: Duration = Duration::from_secs(40);

/// Whether a worker can do its work at the moment: it has started, is not asked to stop, and the database takes its
/// calls. Clones speak of the same worker.
///
/// It is what a readiness probe asks. It costs no call of the database, so it can be asked as often as one likes; and it
/// says nothing of the process itself: a worker that waits for its database is alive, and to restart it helps nobody.
///
/// # Examples
///
/// ```
/// # use vulkan_worker::Worker;
/// # fn example(worker: Worker<()>) {
/// let readiness = worker.readiness();
/// // … run the worker in a task, and answer a probe:
/// if !readiness.is_ready() {
///     eprintln!("not ready: {}", readiness.reasons().join("; "));
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Readiness(Arc<Mutex<State>>);

/// A stream and a group.
type OfGroup = (String, String);

struct State {
    phase: Phase,
    /// The calls whose last answer was an error, by what they are and whom they are for.
    failing: HashMap<(DatabaseCall, Option<OfGroup>), (String, Instant)>,
    answered: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Stopping,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Starting,
            failing: HashMap::new(),
            answered: Instant::now(),
        })))
    }
}

impl Readiness {
    /// Whether the worker can do its work.
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// Why it cannot; nothing if it can.
    pub fn reasons(&self) -> Vec<String> {
        let state = self.state();
        let failing = state.failing.values();
        let mut failing = failing.filter(|(_, since)| since.elapsed() < STALE);
        match state.phase {
            Phase::Starting => vec![match failing.next() {
                Some((why, _)) => format!("it has not started yet: {why}"),
                None => "it has not started yet".into(),
            }],
            Phase::Stopping => vec!["it stops".into()],
            Phase::Running => {
                let mut reasons: Vec<String> = failing.map(|(why, _)| why.clone()).collect();
                reasons.sort_unstable();
                reasons.dedup();
                let silent = state.answered.elapsed();
                if reasons.is_empty() && silent > SILENT {
                    reasons.push(format!(
                        "the database gives no answer for {} s",
                        silent.as_secs()
                    ));
                }
                reasons
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was answered.
    pub(super) fn answered(&self, call: DatabaseCall, group: Option<(&str, &str)>) {
        let mut state = self.state();
        state.answered = Instant::now();
        if !state.failing.is_empty() {
            let same = |whose: &Option<OfGroup>| {
                let whose = whose.as_ref();
                whose.map(|(stream, group)| (stream.as_str(), group.as_str())) == group
            };
            state
                .failing
                .retain(|(of, whose), _| *of != call || !same(whose));
        }
    }

    /// Nobody needs such a call at the moment.
    pub(super) fn needless(&self, call: DatabaseCall) {
        self.state().failing.retain(|(of, _), _| *of != call);
    }

    pub(super) fn hear(&self, event: &WorkerEvent<'_>) {
        match event {
            WorkerEvent::Started { .. } => {
                let mut state = self.state();
                state.phase = Phase::Running;
                state.failing.clear();
                state.answered = Instant::now();
            }
            WorkerEvent::Stopping { .. } => self.state().phase = Phase::Stopping,
            WorkerEvent::Trouble { call, group, error } if carries(*call) => {
                let mut text = format!("cannot {call}");
                if let Some((stream, group)) = group {
                    text += &format!(" for {group} of {stream}");
                }
                match error {
                    Some(error) => text += &format!(": {error}"),
                    None => text += ": the database gives no answer",
                }
                let whose = group.map(|(stream, group)| (stream.to_owned(), group.to_owned()));
                let failed = (text, Instant::now());
                self.state().failing.insert((*call, whose), failed);
            }
            _ => {}
        }
    }
}

/// Whether messages come to a stand without it. What comes once in a while, or only if there is something to do, would
/// also not tell soon enough that it is well again.
fn carries(call: DatabaseCall) -> bool {
    use DatabaseCall::{Claim, Extend, Look, Reap, Settle, Start};
    matches!(call, Start | Claim | Settle | Extend | Look | Reap)
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.reasons()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(readiness: &Readiness, call: DatabaseCall, group: Option<(&str, &str)>) {
        let error = None;
        readiness.hear(&WorkerEvent::Trouble { call, group, error });
    }

    fn running() -> Readiness {
        let readiness = Readiness::default();
        assert_eq!(readiness.reasons(), ["it has not started yet"]);
        readiness.hear(&WorkerEvent::Started {
            worker: "w",
            groups: 1,
        });
        assert!(readiness.is_ready());
        readiness
    }

    #[test]
    fn it_is_ready_between_start_and_stop() {
        let readiness = running();
        readiness.hear(&WorkerEvent::Stopping { worker: "w" });
        assert_eq!(readiness.reasons(), ["it stops"]);
    }

    #[test]
    fn each_call_that_fails_must_be_answered_again() {
        let readiness = running();
        trouble(&readiness, DatabaseCall::Claim, Some(("orders", "a")));
        trouble(&readiness, DatabaseCall::Reap, None);
        assert_eq!(
            readiness.reasons(),
            [
                "cannot claim for a of orders: the database gives no answer",
                "cannot look for lost leases: the database gives no answer"
            ]
        );
        readiness.answered(DatabaseCall::Reap, None);
        readiness.answered(DatabaseCall::Claim, Some(("orders", "b")));
        assert!(!readiness.is_ready());
        readiness.answered(DatabaseCall::Claim, Some(("orders", "a")));
        assert!(readiness.is_ready());
    }

    #[test]
    fn what_no_message_waits_for_does_not_count() {
        let readiness = running();
        trouble(&readiness, DatabaseCall::Maintain, None);
        assert!(readiness.is_ready());
    }

    #[test]
    fn who_does_not_ask_any_more_is_forgotten() {
        let readiness = running();
        trouble(&readiness, DatabaseCall::Claim, Some(("orders", "a")));
        for (seconds, ready) in [(39, false), (2, true)] {
            let mut state = readiness.state();
            for (_, since) in state.failing.values_mut() {
                *since -= Duration::from_secs(seconds);
            }
            drop(state);
            assert_eq!(readiness.is_ready(), ready);
        }
        // It fails once more.
        trouble(&readiness, DatabaseCall::Claim, Some(("orders", "a")));
        assert!(!readiness.is_ready());
    }

    #[test]
    fn what_nobody_needs_any_more_is_no_reason() {
        let readiness = running();
        trouble(&readiness, DatabaseCall::Look, None);
        trouble(&readiness, DatabaseCall::Extend, None);
        readiness.needless(DatabaseCall::Extend);
        assert_eq!(
            readiness.reasons(),
            ["cannot look for work: the database gives no answer"]
        );
        readiness.needless(DatabaseCall::Look);
        assert!(readiness.is_ready());
    }

    #[test]
    fn silence_is_an_outage() {
        let readiness = running();
        readiness.state().answered -= SILENT + Duration::from_secs(1);
        assert_eq!(
            readiness.reasons(),
            ["the database gives no answer for 11 s"]
        );
        readiness.answered(DatabaseCall::Look, None);
        assert!(readiness.is_ready());
    }
}
