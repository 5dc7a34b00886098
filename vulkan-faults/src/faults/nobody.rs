//! F26 and F36: nobody is elected, and a server that forgets.

use std::time::Duration;

use rand::RngExt;
use vulkan::Client;

use crate::Result;
use crate::clock::mono_us;
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
