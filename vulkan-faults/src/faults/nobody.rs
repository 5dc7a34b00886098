//! F26, F32 and F36: nobody is elected, nobody is rung for, and a server that forgets.

use std::time::Duration;

use rand::RngExt;
use vulkan::Client;

use crate::Result;
use crate::clock::mono_us;
use crate::ledger::Entry;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F26.
pub(super) async fn leaders(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f26", Setup::base()).await?;
    stand.server.run("SELECT vulkan.create_stream('ticks'); SELECT vulkan.put_schedule('tick', 'ticks', 'tick.made', '{}', every => interval '1 s', missed => 'all')").await?;
    let since = mono_us();
    // The log's slots roll meanwhile, which is the other thing that one of them does for all.
    stand
        .server
        .run("UPDATE vulkan.meta SET slot_length = interval '3 s'")
        .await?;
    for nth in 0..plan.of(6, 100) {
        stand.run_for(1.5).await?;
        let worker = rand::rng().random_range(0..stand.workers.len());
        if nth % 2 == 0 {
            stand.kill_worker(worker).await?;
        } else {
            let pid = stand.workers[worker].pid;
            stand.signal(pid, "STOP")?;
            stand.run_for(3.0).await?;
            stand.signal(pid, "CONT")?;
        }
    }
    let (ticks, twice, widest): (i64, i64, f64) = sqlx::query_as(include_str!("../sql/ticks.sql"))
        .fetch_one(stand.pool())
        .await?;
    let slots: i64 = stand
        .server
        .value("SELECT count(*) FROM vulkan.slots")
        .await?;
    let due = i64::try_from((mono_us() - since) / 1_000_000)?;
    stand.expect(
        "ticks published",
        ticks.to_string(),
        format!(">= {}: one a second, but for the last", due - 5),
        ticks >= due - 5,
    );
    stand.expect("ticks published twice", twice.to_string(), "0", twice == 0);
    stand.speed(
        "widest gap between two publishes",
        format!("{widest:.1} s"),
        "<= 5 s",
        widest <= 5.0,
    );
    stand.expect("slots rolled", slots.to_string(), "> 1", slots > 1);
    stand.finish().await
}

/// F32.
pub(super) async fn notifications(plan: Plan) -> Result<Outcome> {
    // As much as 16 lanes can.
    let plan = Plan { rate: 1e6, ..plan };
    let setup = Setup {
        lanes: 16,
        ..Setup::base().workers(2)
    };
    let mut stand = Stand::start(&plan, "f32", setup).await?;
    stand.calm = true;
    stand.least_load = None;
    let long = plan.of(2.0, 30.0);
    let (mut with, mut without) = (0, 0);
    // In turns, so that whatever else the machine does falls on both.
    for round in 0..4 {
        stand.setup.listen = round % 2 == 0;
        for _ in 0..stand.setup.workers {
            stand.add_worker()?;
        }
        stand
            .until("the workers to be ready", 60, |stand| stand.all_ready(true))
            .await?;
        let since = mono_us();
        stand.add_publisher()?;
        stand.run_for(long).await?;
        let published = stand.count(since, |entry| matches!(entry, Entry::Ok { .. }));
        stand.quiet().await?;
        stand.drain().await?;
        for worker in std::mem::take(&mut stand.workers) {
            stand.end_worker(worker).await?;
        }
        *(if stand.setup.listen {
            &mut with
        } else {
            &mut without
        }) += published;
    }
    let loss = 100.0 - with as f64 / without as f64 * 100.0;
    let rate = without as f64 / long / 2.0;
    stand.speed(
        "publishes lost to workers that are rung for",
        format!("{loss:.0} % of {rate:.0}/s"),
        "<= 5 %",
        loss <= 5.0,
    );
    stand.finish().await
}

/// F36.
pub(super) async fn forgetful(plan: Plan) -> Result<Outcome> {
    let setup = Setup::base().settings(&[("fsync", "off"), ("synchronous_commit", "off")]);
    let mut stand = Stand::under_load(&plan, "f36", setup).await?;
    stand.calm = true;
    let told = Client::connect(&stand.url).await?.doctor().await?;
    let names: Vec<&str> = told.iter().map(|one| one.problem.as_str()).collect();
    let both = ["fsync", "synchronous_commit"]
        .iter()
        .all(|name| names.contains(name));
    stand.expect(
        "what vulkan.doctor() says",
        names.join(", "),
        "fsync and synchronous_commit",
        both,
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    stand.finish().await
}
