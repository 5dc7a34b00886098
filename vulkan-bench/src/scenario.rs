//! What there is to measure.

mod backlog;
mod disk;
mod drain;
mod failures;
mod fleet;
mod held;
mod hot_key;
mod idle;
mod keys;
mod latency;
mod publish;
mod steady;
mod support;
mod transactions;
mod wal;

pub(crate) use held::hold;
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
    Scenario {
        name: "hot-key",
        about: "four fifths of the messages on one key",
        run: |bench| Box::pin(hot_key::run(bench)),
    },
    Scenario {
        name: "failures",
        about: "a backlog of which 5 % fail at the first attempt",
        run: |bench| Box::pin(failures::run(bench)),
    },
    Scenario {
        name: "publish",
        about: "one event a transaction, from 16 connections",
        run: |bench| Box::pin(publish::one::run(bench)),
    },
    Scenario {
        name: "publish-batch",
        about: "500 events a transaction, from 4 connections",
        run: |bench| Box::pin(publish::batch::run(bench)),
    },
    Scenario {
        name: "publish-load",
        about: "a million events in one transaction, by COPY",
        run: |bench| Box::pin(publish::load::run(bench)),
    },
    Scenario {
        name: "publish-merged",
        about: "one event a call from 1,000 tasks, each of which waits for its durable answer",
        run: |bench| Box::pin(publish::merged::run(bench)),
    },
    Scenario {
        name: "publish-groups",
        about: "one event a transaction, with 1 group on the stream and with 50",
        run: |bench| Box::pin(publish::groups::run(bench)),
    },
    Scenario {
        name: "steady",
        about: "a producer and a worker together, as fast as both can, with a handler that does nothing",
        run: |bench| Box::pin(steady::without_work(bench)),
    },
    Scenario {
        name: "work",
        about: "the same with 1 ms of work and 256 slots",
        run: |bench| Box::pin(steady::with_work(bench)),
    },
    Scenario {
        name: "idle",
        about: "the CPU that 200 messages a second take",
        run: |bench| Box::pin(idle::run(bench)),
    },
    Scenario {
        name: "latency",
        about: "from before a publish to the start of the handler",
        run: |bench| Box::pin(latency::run(bench)),
    },
    Scenario {
        name: "backlog",
        about: "ten million messages waiting, against ten thousand",
        run: |bench| Box::pin(backlog::run(bench)),
    },
    Scenario {
        name: "held",
        about: "a snapshot and an xid held by another session for ten minutes",
        run: |bench| Box::pin(held::run(bench)),
    },
    Scenario {
        name: "wal",
        about: "the WAL that handling adds to publishing, at saturation",
        run: |bench| Box::pin(wal::run(bench)),
    },
    Scenario {
        name: "transactions",
        about: "handlers that insert a row exactly once",
        run: |bench| Box::pin(transactions::run(bench)),
    },
    Scenario {
        name: "fleet",
        about: "1, 2, 4 and 8 worker processes on 1 and on 50 groups",
        run: |bench| Box::pin(fleet::run(bench)),
    },
    Scenario {
        name: "disk",
        about: "what an event takes on disk",
        run: |bench| Box::pin(disk::run(bench)),
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
