use std::collections::HashSet;

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::super::{TARGET, error_type, fail};
use super::{Worked, discard, is_written};
use crate::engine::{Fate, Item, Outcome, Settlement, Verdict};
use crate::error::Error;

/// The spans of a settlement. One call reports what became of many messages, and is a span for each thing
/// that it does: `ack`, `nack`, `dead_letter`, `defer`.
#[derive(Debug)]
pub struct Settling {
    spans: Vec<(Settles, Span)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settles {
    Ack,
    Nack,
    DeadLetter,
    Defer,
}

impl Settling {
    /// A settlement that is about to be reported.
    pub fn begin(of: Worked<'_>) -> Self {
        use Settles::{Ack, DeadLetter, Defer, Nack};
        let first = span(of, Ack);
        if !is_written(&first) {
            return Self { spans: Vec::new() };
        }
        let rest = [Nack, DeadLetter, Defer].map(|settles| (settles, span(of, settles)));
        Self {
            spans: [(Ack, first)].into_iter().chain(rest).collect(),
        }
    }

    /// How it ended. `done` is how many messages it was to mark done.
    pub fn end(self, settlement: &Settlement, done: usize, verdicts: &Result<Vec<Verdict>, Error>) {
        let dead: HashSet<i64> = verdicts
            .iter()
            .flatten()
            .filter(|verdict| verdict.fate == Fate::Dead)
            .filter_map(|verdict| verdict.offset)
            .collect();
        for (settles, span) in self.spans {
            let of_it = |item: &&Item| what(item, &dead) == Some(settles);
            let mut items = settlement.items.iter().filter(of_it);
            let (first, more) = (items.next(), items.count());
            let count = match settles {
                Settles::Ack => done,
                _ => usize::from(first.is_some()) + more,
            };
            match (first, count) {
                (_, 0) => discard(&span),
                (Some(item), 1) => {
                    span.record("messaging.message.id", item.offset.to_string());
                    span.record("vulkan.offset", item.offset);
                }
                _ => {
                    span.record("messaging.batch.message_count", count);
                }
            }
            if let Err(error) = verdicts {
                fail(&span, &error_type(error));
            }
        }
    }
}

/// What an item does to its message. An attempt that was the last is a dead letter, as the database says.
fn what(item: &Item, dead: &HashSet<i64>) -> Option<Settles> {
    match &item.outcome {
        Outcome::Done => Some(Settles::Ack),
        // Neither is over.
        Outcome::Progress | Outcome::Running => None,
        // Whatever it asked for, if it was cancelled.
        _ if dead.contains(&item.offset) => Some(Settles::DeadLetter),
        Outcome::Retry { .. } => Some(Settles::Nack),
        Outcome::Dead { .. } => Some(Settles::DeadLetter),
        Outcome::Snooze { .. } | Outcome::Release => Some(Settles::Defer),
    }
}

fn span(of: Worked<'_>, settles: Settles) -> Span {
    let name = match settles {
        Settles::Ack => "ack",
        Settles::Nack => "nack",
        Settles::DeadLetter => "dead_letter",
        Settles::Defer => "defer",
    };
    info_span!(
        target: TARGET,
        parent: None,
        "settle",
        otel.name = format!("{name} {}", of.stream),
        otel.kind = "client",
        otel.status_code = Empty,
        messaging.system = "vulkan",
        messaging.operation.name = name,
        messaging.operation.type = "settle",
        messaging.destination.name = of.stream,
        messaging.consumer.group.name = of.group,
        messaging.client.id = of.worker,
        messaging.message.id = Empty,
        messaging.batch.message_count = Empty,
        server.address = of.client.server().0,
        server.port = of.client.server().1,
        vulkan.offset = Empty,
        error.r#type = Empty,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_cancelled_is_a_dead_letter_whatever_it_asked_for() {
        let item = |outcome| Item {
            offset: 7,
            token: 1,
            lane: None,
            outcome,
        };
        let after = Duration::from_secs(1);
        for outcome in [Outcome::Snooze { after }, Outcome::Release] {
            let item = item(outcome);
            assert_eq!(what(&item, &HashSet::new()), Some(Settles::Defer));
            assert_eq!(what(&item, &HashSet::from([7])), Some(Settles::DeadLetter));
        }
        let done = item(Outcome::Done);
        assert_eq!(what(&done, &HashSet::from([7])), Some(Settles::Ack));
    }
}
