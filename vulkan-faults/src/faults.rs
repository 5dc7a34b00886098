//! The faults, a family a file.

mod bell;
mod between;
mod claims;
mod clocks;
mod exhaustion;
mod failover;
mod keys;
mod network;
mod nobody;
mod order;
mod poison;
mod processes;
mod server;
mod transactions;

use std::process::ExitCode;

use futures::StreamExt;
use futures::future::BoxFuture;

use crate::args::Run;
use crate::report;
use crate::stand::{Outcome, Plan};
use crate::{Result, causes};

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
    fault!(
        network::half_open,
        "f7",
        "every connection, without a word to either end",
        "once",
        "20 times"
    ),
    fault!(
        network::reset,
        "f8",
        "connections reset in mid-call, commits included",
        "300 resets",
        "10,000 resets"
    ),
    fault!(
        network::slow,
        "f9",
        "a link of 200 ms ± 100 and 1 Mbit/s, cut pieces, then cut connections, then none",
        "20 s",
        "6 min"
    ),
    fault!(
        transactions::late_commits,
        "f10",
        "publishers that commit in any order, savepoints rolled back; one that stays open",
        "10 s, open for 4 s",
        "30 min, open for 25 min"
    ),
    fault!(
        transactions::foreign_transaction,
        "f11",
        "a long transaction in another database",
        "10 s",
        "10 min"
    ),
    fault!(
        transactions::held_xmin,
        "f12",
        "cleaning up, by a transaction that stays open",
        "18 s",
        "11 min"
    ),
    fault!(
        transactions::scans,
        "f13",
        "cleaning up, by three long scans that overlap",
        "16 s",
        "15 min"
    ),
    fault!(
        poison::poisoned,
        "f27",
        "processes, by the messages themselves",
        "abort, panic, error",
        "and memory, stack"
    ),
    fault!(
        claims::contention,
        "f14",
        "a claimer's peace: 64 of them at once",
        "20,000 messages",
        "1,000,000 messages"
    ),
    fault!(
        order::torture,
        "f15",
        "order: few keys, failures, workers killed, dead messages given back meanwhile",
        "5 kills, 4 workers",
        "300 kills, 12 workers"
    ),
    fault!(
        claims::slow_handler,
        "f16",
        "time: handlers of ten leases, and threads that block",
        "6 slow messages",
        "100 slow messages"
    ),
    fault!(
        clocks::skewed_workers,
        "f17",
        "the workers' clocks, by 10 min and an hour either way",
        "12 s",
        "10 min"
    ),
    fault!(
        clocks::database_steps,
        "f18",
        "the database's clock, which steps by -5 min and +1 h",
        "once each",
        "20 times each"
    ),
    fault!(
        claims::wedged_sweep,
        "f28",
        "a row that cannot be swept, among many that can",
        "2,000 messages",
        "10,000 messages"
    ),
    fault!(
        exhaustion::connections,
        "f30",
        "every connection that the server has",
        "10 s",
        "5 min"
    ),
    fault!(
        exhaustion::cancellation,
        "f31",
        "the callers of calls under way",
        "4,000 calls",
        "100,000 calls"
    ),
    fault!(
        exhaustion::timeouts,
        "timeouts",
        "patience: statement, lock and idle timeouts of milliseconds",
        "10 s",
        "5 min"
    ),
    fault!(
        exhaustion::locks,
        "locks",
        "each table in turn, by an ACCESS EXCLUSIVE lock",
        "0.6 s each",
        "30 s each"
    ),
    fault!(
        exhaustion::no_vacuum,
        "no-vacuum",
        "autovacuum",
        "18 s",
        "32 min"
    ),
    fault!(
        exhaustion::large,
        "large",
        "room: payloads of 20 MB",
        "2 messages",
        "50 messages"
    ),
    fault!(
        keys::million,
        "keys",
        "the few keys: many instead",
        "5,000 keys",
        "1,000,000 keys"
    ),
    fault!(
        keys::any_bytes,
        "bytes",
        "tame keys: any text instead",
        "220 keys, 2,000 messages",
        "220 keys, 200,000 messages"
    ),
    fault!(
        between::pooler,
        "f24",
        "sessions: pgbouncer in transaction mode, which also goes and comes back",
        "13 s",
        "6 min"
    ),
    fault!(
        nobody::leaders,
        "f26",
        "who fires schedules and rolls slots, by kill -9 and SIGSTOP",
        "6 times",
        "100 times"
    ),
    fault!(
        bell::notifications,
        "f32",
        "peace at commit: somebody sleeps and is rung for at each publish",
        "12 s",
        "3 min, then with a notification queue that is full"
    ),
    fault!(
        between::wraparound,
        "f33",
        "transaction ids: they go past 2^32",
        "once",
        "once"
    ),
    fault!(
        nobody::forgetful,
        "f36",
        "durability: fsync and synchronous_commit off",
        "once",
        "once"
    ),
    fault!(
        failover::synchronous,
        "f25",
        "the server, for good: a synchronous standby takes over",
        "once",
        "once, after two minutes"
    ),
    fault!(
        failover::asynchronous,
        "f25-async",
        "the server, for good: a standby that lags takes over",
        "once, 3 s behind",
        "once, after two minutes, 10 s behind"
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
        scale: asked.scale,
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
                println!("BROKEN {}: {}", fault.name, causes(&*error));
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
