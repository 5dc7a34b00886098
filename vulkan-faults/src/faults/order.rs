//! F15: few keys, handlers that fail, workers that are killed, and operators who give back what is dead meanwhile.

use std::collections::BTreeSet;

use rand::RngExt;
use vulkan::{Client, DryRun, Redrive};

use crate::Result;
use crate::checker::MayDie;
use crate::child::STREAM;
use crate::clock::mono_us;
use crate::ledger::{Entry, How};
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F15.
pub(super) async fn torture(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base()
        .lease(1500)
        .retries(2)
        .workers(plan.form(4, 12));
    setup.keyed_percent = 100;
    setup.keys = 20;
    setup.flaky_percent = 10;
    setup.groups.iter_mut().for_each(|group| {
        group.fails_one_in = 10;
        group.millis = 3;
    });
    let mut stand = Stand::under_load(&plan, "f15", setup).await?;
    // A flaky message may use up its three attempts, and does, so that it can be given back.
    stand.may_die = MayDie::Any;
    let mut redriven = BTreeSet::new();
    let mut times = 0;
    for _ in 0..plan.of(5, 300) {
        let until = mono_us() + 2_000_000;
        while mono_us() < until {
            stand.run_for(0.3).await?;
            times += redrive(&stand, &mut redriven).await?;
        }
        let nth = rand::rng().random_range(0..stand.workers.len());
        stand.kill_worker(nth).await?;
    }
    stand.until_flows(30).await?;
    stand.quiet().await?;
    stand.drain().await?;
    // One last time, with nothing else to do.
    times += redrive(&stand, &mut redriven).await?;
    stand.drain().await?;
    stand.refresh()?;
    let done = stand.lines.iter().filter_map(|line| match &line.entry {
        Entry::End {
            group,
            offset,
            how: How::Done,
            ..
        } => Some((group.clone(), *offset)),
        _ => None,
    });
    let done: BTreeSet<_> = done.collect();
    let well = redriven.intersection(&done).count();
    let failed = stand.count(0, |entry| {
        matches!(
            entry,
            Entry::End {
                how: How::Failed,
                ..
            }
        )
    });
    let all = stand.count(0, |entry| matches!(entry, Entry::End { .. }));
    stand.inflicted(
        "attempts that failed",
        format!("{:.0} %", failed as f64 / all as f64 * 100.0),
        ">= 10 %",
        failed * 10 >= all,
    );
    stand.inflicted(
        "dead messages given back while their keys went on",
        format!(
            "{} messages, {times} times; {well} done then",
            redriven.len()
        ),
        "> 0, and some done",
        times > 0 && well > 0,
    );
    stand.finish().await
}

/// Gives back what is dead. Returns how many messages that were.
async fn redrive(stand: &Stand, redriven: &mut BTreeSet<(String, i64)>) -> Result<i64> {
    let client = Client::new(stand.pool().clone());
    let dead: Vec<(String, i64)> = sqlx::query_as(include_str!("../sql/dead.sql"))
        .fetch_all(stand.pool())
        .await?;
    let mut many = 0;
    for (group, offset) in dead {
        let (from, entry) = (group.clone(), Entry::Redriven { group, offset });
        stand.note(entry);
        let which = Redrive {
            from_offset: Some(offset),
            to_offset: Some(offset),
            ..Redrive::default()
        };
        many += client.redrive(STREAM, &from, which, DryRun::No).await?;
        redriven.insert((from, offset));
    }
    Ok(many)
}
