//! F26, F32 and F36: nobody is elected, nobody is rung for, and a server that forgets.

use std::time::Duration;

use rand::RngExt;
use vulkan::Client;

use crate::Result;
use crate::clock::{mono_us, seconds};
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F26.
pub(super) async fn leaders(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f26", Setup::base()).await?;
    stand.server.run("SELECT vulkan.create_stream('ticks'); SELECT vulkan.put_schedule('tick', 'ticks', 'tick.made', '{}', every => interval '1 s', missed => 'all')").await?;
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
        stand.server.run("SELECT vulkan.maintain()").await?;
    }
    let (ticks, twice, widest): (i64, i64, f64) = sqlx::query_as(include_str!("../sql/ticks.sql"))
        .fetch_one(stand.pool())
        .await?;
    let slots: i64 = stand
        .server
        .value("SELECT count(*) FROM vulkan.slots")
        .await?;
    stand.expect_all_alive()?;
    stand.expect("ticks published", ticks.to_string(), "> 0", ticks > 0);
    stand.expect("ticks published twice", twice.to_string(), "0", twice == 0);
    stand.expect(
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
    let mut stand = Stand::start(&plan, "f32", Setup::base()).await?;
    let long = plan.of(2.0, 30.0);
    let (mut with, mut without) = (0.0, 0.0);
    // In turns, so that whatever else the machine does falls on both.
    for _ in 0..3 {
        without += published(&stand, long, false).await?;
        with += published(&stand, long, true).await?;
    }
    let loss = 100.0 - with / without * 100.0;
    stand.server.run("TRUNCATE vulkan.events").await?;
    stand.expect(
        "publishes lost to somebody who sleeps and is rung for",
        format!("{loss:.0} % of {:.0}/s", without / 3.0),
        "reported; <= 5 % where workers sleep only while idle",
        true,
    );
    stand.load().await?;
    stand.run_for(2.0).await?;
    stand.finish().await
}

/// Publishes a second by 16 tasks, with the bell held by a sleeper or by nobody.
async fn published(stand: &Stand, long: f64, asleep: bool) -> Result<f64> {
    let client = Client::connect(&stand.url).await?;
    let mut sleeper = stand.pool().acquire().await?;
    if asleep {
        sqlx::raw_sql("SELECT pg_advisory_lock(1459617794, stream_id) FROM vulkan.streams WHERE name = 'load'")
            .execute(&mut *sleeper)
            .await?;
    }
    let until = mono_us() + (long * 1e6) as u64;
    let tasks = (0..16).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut many = 0.0;
            while mono_us() < until {
                client
                    .publish(vulkan::Message::new("load", "plain.made", &0)?)
                    .await?;
                many += 1.0;
            }
            Ok::<f64, vulkan::Error>(many)
        })
    });
    let begun = mono_us();
    let mut all = 0.0;
    for task in futures::future::join_all(tasks).await {
        all += task??;
    }
    if asleep {
        sqlx::raw_sql("SELECT pg_advisory_unlock_all()")
            .execute(&mut *sleeper)
            .await?;
    }
    client.pool().close().await;
    Ok(all / seconds(mono_us() - begun))
}

/// F36.
pub(super) async fn forgetful(plan: Plan) -> Result<Outcome> {
    let setup = Setup::base().settings(&[("fsync", "off"), ("synchronous_commit", "off")]);
    let mut stand = Stand::under_load(&plan, "f36", setup).await?;
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
