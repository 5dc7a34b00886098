use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use vulkan_core::{Binding, GroupOptions, KindPattern, Limits, ServedHandler};
use vulkan_names::pattern_covers;

use super::error::Mistake;
use crate::handler::{ErasedHandler, HandlerOptions};
use crate::layer::Stack;

/// A handler and its options, as registered.
pub(super) struct Registered<S> {
    pub(super) handler: ErasedHandler<S>,
    pub(super) options: HandlerOptions,
    /// Around this handler alone.
    pub(super) layers: Stack,
}

/// The handlers of one group, checked.
pub(super) struct Served<S> {
    pub(super) stream: String,
    pub(super) group: String,
    pub(super) handlers: Vec<Registered<S>>,
}

/// Sorts handlers into groups, and finds every mistake.
pub(super) fn sort<S>(handlers: Vec<Registered<S>>) -> Result<Vec<Served<S>>, Vec<Mistake>> {
    let mut mistakes: Vec<Mistake> = handlers.iter().flat_map(own_mistakes).collect();
    let mut groups: Vec<Served<S>> = Vec::new();
    for one in handlers {
        let served = groups.iter_mut().find(|served| {
            served.stream == one.options.stream && served.group == one.options.group
        });
        match served {
            Some(served) => {
                mistakes.extend(
                    served
                        .handlers
                        .iter()
                        .flat_map(|other| clashes(&other.options, &one.options)),
                );
                served.handlers.push(one);
            }
            None => groups.push(Served {
                stream: one.options.stream.to_string(),
                group: one.options.group.to_string(),
                handlers: vec![one],
            }),
        }
    }
    if mistakes.is_empty() {
        Ok(groups)
    } else {
        Err(mistakes)
    }
}

fn own_mistakes<S>(one: &Registered<S>) -> Vec<Mistake> {
    let options = &one.options;
    let errors = options.check().err().unwrap_or_default();
    let handler = options.name.to_string();
    let idle = options.batch.is_some() && !one.handler.takes_batches();
    let idle = idle.then(|| Mistake::NoBatches {
        handler: handler.clone(),
    });
    errors
        .into_iter()
        .map(|error| Mistake::Options {
            handler: handler.clone(),
            error,
        })
        .chain(idle)
        .collect()
}

/// What two handlers of one group cannot both have.
fn clashes(first: &HandlerOptions, second: &HandlerOptions) -> Vec<Mistake> {
    let (group, names) = (
        second.group.to_string(),
        (first.name.to_string(), second.name.to_string()),
    );
    let mut mistakes = Vec::new();
    for pattern in patterns(second) {
        let mut wider = patterns(first).into_iter();
        let Some(by) = wider.find(|wide| pattern_covers(wide, pattern)) else {
            continue;
        };
        let (group, pattern) = (group.clone(), pattern.to_owned());
        let (first, second) = names.clone();
        mistakes.push(if by == pattern {
            Mistake::SameKind {
                group,
                first,
                second,
                pattern,
            }
        } else {
            Mistake::Shadowed {
                group,
                first,
                by: by.to_owned(),
                second,
                pattern,
            }
        });
    }
    fn differ<T: PartialEq>(first: &Option<T>, second: &Option<T>) -> bool {
        first.is_some() && second.is_some() && first != second
    }
    let (a, b) = (first.limits(), second.limits());
    let disagreements = [
        ("start", differ(&first.start, &second.start)),
        ("max_in_flight", differ(&a.max_in_flight, &b.max_in_flight)),
        (
            "max_in_flight_per_prefix",
            differ(&a.max_in_flight_per_prefix, &b.max_in_flight_per_prefix),
        ),
        (
            "prefix_delimiter",
            differ(&a.prefix_delimiter, &b.prefix_delimiter),
        ),
        ("rate", differ(&a.rate, &b.rate)),
        ("burst", differ(&a.burst, &b.burst)),
        ("breaker", differ(&a.breaker, &b.breaker)),
    ];
    let disagreements = disagreements.into_iter().filter(|(_, differ)| *differ);
    mistakes.extend(disagreements.map(|(option, _)| Mistake::Disagree {
        group: group.clone(),
        first: names.0.clone(),
        second: names.1.clone(),
        option,
    }));
    mistakes
}

fn patterns(options: &HandlerOptions) -> Vec<&str> {
    if options.kinds.is_empty() {
        vec![">"]
    } else {
        options.kinds.iter().map(AsRef::as_ref).collect()
    }
}

/// The kinds of a handler, as patterns that were checked before.
pub(super) fn kinds(options: &HandlerOptions) -> Vec<KindPattern> {
    options
        .kinds
        .iter()
        .filter_map(|kind| kind.parse().ok())
        .collect()
}

/// A handler as its worker tells of it in `vulkan.workers`.
pub(super) fn told(options: &HandlerOptions) -> ServedHandler {
    let span = |span: Duration| Value::from(format!("{span:?}"));
    let set = [
        ("retries", options.retries.map(Value::from)),
        (
            "backoff",
            options
                .backoff
                .map(|backoff| Value::from(format!("{:?}..{:?}", backoff.initial, backoff.max))),
        ),
        ("timeout", options.timeout.map(span)),
        ("lease", options.lease.map(span)),
        ("concurrency", options.concurrency.map(Value::from)),
        ("batch", options.batch.map(Value::from)),
        ("priority", options.priority.map(Value::from)),
        ("weight", options.weight.map(Value::from)),
        ("max_in_flight", options.max_in_flight.map(Value::from)),
        (
            "max_in_flight_per_prefix",
            options.max_in_flight_per_prefix.map(Value::from),
        ),
        (
            "prefix_delimiter",
            options.prefix_delimiter.as_deref().map(Value::from),
        ),
        (
            "rate",
            options
                .rate
                .map(|rate| Value::from(format!("{}/{:?}", rate.attempts, rate.per))),
        ),
        ("burst", options.burst.map(Value::from)),
        (
            "breaker",
            options.breaker.map(|breaker| {
                Value::from(format!(
                    "{}% of {} in {:?}, pause {:?}..{:?}, probe {}",
                    breaker.failure_percent,
                    breaker.min_attempts,
                    breaker.window,
                    breaker.pause,
                    breaker.max_pause,
                    breaker.probes
                ))
            }),
        ),
        (
            "start",
            options.start.map(|start| Value::from(start.to_string())),
        ),
    ];
    ServedHandler {
        name: options.name.to_string(),
        stream: options.stream.to_string(),
        group: options.group.to_string(),
        kinds: options.kinds.iter().map(ToString::to_string).collect(),
        options: set
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    }
}

impl<S> Served<S> {
    /// The group as its handlers want it: the most patient of them decides, since what a single
    /// handler wants less of is its worker's to see to.
    pub(super) fn options(&self) -> GroupOptions {
        let options = || self.handlers.iter().map(|one| &one.options);
        GroupOptions {
            start: options()
                .find_map(|options| options.start)
                .unwrap_or_default(),
            // Without kinds of its own a group keeps what it binds, which may be an operator's choice.
            bindings: options()
                .any(|options| !options.kinds.is_empty())
                .then(|| self.bindings()),
            max_attempts: options()
                .filter(|options| options.retries.is_some())
                .map(HandlerOptions::max_attempts)
                .max(),
            backoff: match self.handlers.as_slice() {
                [only] => only.options.backoff,
                // Each worker computes its handlers' own delays.
                _ => None,
            },
            lease: options().filter_map(|options| options.lease).max(),
            limits: self.limits(),
            ..GroupOptions::default()
        }
    }

    /// The limits that its handlers ask for, of which no two disagree.
    fn limits(&self) -> Limits {
        let all = self.handlers.iter().map(|one| one.options.limits());
        all.fold(Limits::default(), |so_far, its| Limits {
            max_in_flight: so_far.max_in_flight.or(its.max_in_flight),
            max_in_flight_per_prefix: so_far
                .max_in_flight_per_prefix
                .or(its.max_in_flight_per_prefix),
            prefix_delimiter: so_far.prefix_delimiter.or(its.prefix_delimiter),
            rate: so_far.rate.or(its.rate),
            burst: so_far.burst.or(its.burst),
            breaker: so_far.breaker.or(its.breaker),
        })
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut seen = HashSet::new();
        let mut patterns: Vec<KindPattern> = self
            .handlers
            .iter()
            .flat_map(|one| {
                if one.options.kinds.is_empty() {
                    everything()
                } else {
                    kinds(&one.options)
                }
            })
            .filter(|pattern| seen.insert(pattern.clone()))
            .collect();
        // In a fixed order: the same handlers registered otherwise bind the same.
        patterns.sort();
        patterns.into_iter().map(Binding::kind).collect()
    }
}

fn everything() -> Vec<KindPattern> {
    ">".parse().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use vulkan_names::HANDLER_KEYS;

    use super::*;
    use crate::runtime::overrides::{Overrides, apply};

    /// Fails when a key of the attribute was forgotten here. What is told can be given back.
    #[test]
    fn every_option_of_a_handler_is_told() {
        let elsewhere = ["stream", "group", "kinds", "name", "crate"];
        for key in HANDLER_KEYS
            .iter()
            .filter(|key| !elsewhere.contains(&key.name))
        {
            let changed = |value: Value| {
                let mut options = HandlerOptions::new("orders", "fraud");
                let overrides = Overrides::new().set("fraud", key.name, value);
                assert_eq!(apply(&[overrides], &mut [&mut options]), []);
                options
            };
            let options = changed(serde_json::from_str(key.example).unwrap());
            let told = told(&options).options.remove(key.name);
            let told = told.unwrap_or_else(|| panic!("{} is not told", key.name));
            assert_eq!(changed(told), options, "{}", key.name);
        }
    }
}
