//! What there is to measure.

mod drain;
mod keys;
mod support;

use std::future::Future;
use std::pin::Pin;

use crate::Result;
use crate::bench::Bench;
use crate::outcome::Outcome;

type Measured<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + Send + 'a>>;

/// Something to measure.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: for<'a> fn(&'a Bench) -> Measured<'a>,
}

/// All scenarios, in the order of the report.
const ALL: &[Scenario] = &[
    Scenario {
        name: "drain",
        about: "a backlog drained by one worker process with a typed handler that does nothing",
        run: |bench| Box::pin(drain::run(bench)),
    },
    Scenario {
        name: "keys",
        about: "the same with partition keys, each in order",
        run: |bench| Box::pin(keys::run(bench)),
    },
];

pub(crate) fn list() {
    for scenario in ALL {
        println!("{:<16} {}", scenario.name, scenario.about);
    }
}

/// The scenarios of these names; without any, all.
pub(crate) fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            ALL.iter()
                .find(|scenario| scenario.name == name)
                .ok_or_else(|| {
                    format!("there is no scenario \"{name}\"; `vulkan-bench list` names them")
                        .into()
                })
        })
        .collect()
}
