//! The faults, a family a file.

mod processes;
mod server;

use std::process::ExitCode;

use futures::StreamExt;
use futures::future::BoxFuture;

use crate::Result;
use crate::args::Run;
use crate::report;
use crate::stand::{Outcome, Plan};

/// Something that is taken away.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) short: &'static str,
    pub(crate) long: &'static str,
    run: fn(Plan) -> BoxFuture<'static, Result<Outcome>>,
}

macro_rules! fault {
    ($run:path, $name:literal, $title:literal, $short:literal, $long:literal) => {
        Fault {
            name: $name,
            title: $title,
            short: $short,
            long: $long,
            run: |plan| Box::pin($run(plan)),
        }
    };
}

pub(crate) const FAULTS: &[Fault] = &[
    fault!(
        processes::killed,
        "f1",
        "a worker, by kill -9",
        "6 kills",
        "200 kills, one every 3 s"
    ),
    fault!(
        processes::zombie,
        "f2",
        "a worker stands still for three leases, and goes on",
        "3 times, lease 1 s",
        "100 times, lease 2 s"
    ),
    fault!(
        processes::rolling,
        "f3",
        "workers replaced one by one, by SIGTERM",
        "8 times",
        "100 times"
    ),
    fault!(
        server::terminated,
        "f4",
        "sessions, by pg_terminate_backend",
        "5 a second for 15 s",
        "5 a second for 5 min"
    ),
    fault!(
        server::crashed,
        "f5",
        "the server, by pg_ctl stop -m immediate",
        "3 times",
        "20 times"
    ),
    fault!(
        server::away,
        "f6",
        "the server, for a while",
        "once for 8 s, once at once",
        "10 times for 60 s, 10 at once"
    ),
];

/// Runs faults, as asked.
pub(crate) async fn run(asked: Run) -> Result<ExitCode> {
    for name in &asked.faults {
        if !FAULTS.iter().any(|fault| fault.name == name) {
            return Err(format!("there is no fault {name:?}; `list` says which there are").into());
        }
    }
    let plan = Plan {
        long: asked.long,
        rate: asked.rate,
        keep: asked.keep.clone(),
    };
    let chosen = FAULTS.iter().filter(|fault| {
        asked.faults.is_empty() || asked.faults.iter().any(|name| name == fault.name)
    });
    let mut running = futures::stream::iter(chosen)
        .map(|fault| {
            let run = (fault.run)(plan.clone());
            async move { (fault, run.await) }
        })
        .buffered(asked.jobs.max(1));
    let (mut outcomes, mut all_met) = (Vec::new(), true);
    while let Some((fault, outcome)) = running.next().await {
        match outcome {
            Ok(mut outcome) => {
                outcome.title = fault.title;
                all_met &= outcome.is_met();
                match asked.json {
                    true => println!("{}", serde_json::to_string(&outcome)?),
                    false => report::tell(&outcome),
                }
                outcomes.push((outcome, fault.title));
            }
            Err(error) => {
                all_met = false;
                println!("BROKEN {}: {error}", fault.name);
            }
        }
        if let Some(file) = &asked.markdown {
            std::fs::write(file, report::markdown(&outcomes))?;
        }
    }
    Ok(if all_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
