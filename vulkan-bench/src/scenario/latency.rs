//! From before a publish to the start of the handler.

use std::time::Duration;

use sqlx::postgres::PgListener;
use vulkan::Client;

use super::support::{Drain, trickle};
use crate::Result;
use crate::bench::Bench;
use crate::outcome::{Outcome, Target};
use crate::worker::{Crew, Deed, Worked};

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = Duration::from_secs(bench.size(10, 2));
    for _ in bench.turns() {
        for (name, rate) in [("idle, 2/s", 2), ("200/s", 200), ("5,000/s", 5_000)] {
            let (worked, notified, took) = measure(bench, rate, seconds).await?;
            let latency = worked.latency.ok_or("no message was handled")?;
            outcome.add(&format!("{name}: p50"), "ms", latency.p50);
            outcome.add(&format!("{name}: p99"), "ms", latency.p99);
            outcome.add(&format!("{name}: the slowest"), "ms", latency.max);
            outcome.add(
                &format!("{name}: notifications"),
                "1/s",
                notified as f64 / took,
            );
            match rate {
                200 => {
                    outcome.goal("200/s: p50, ms", latency.p50, Target::AtMost(3.0));
                    outcome.goal("200/s: p99, ms", latency.p99, Target::AtMost(15.0));
                }
                2 => outcome.goal("idle: p50, ms", latency.p50, Target::AtMost(3.0)),
                _ => outcome.goal(
                    "5,000/s: notifications a message",
                    notified as f64 / worked.handled as f64,
                    Target::AtMost(0.1),
                ),
            }
        }
    }
    Ok(outcome)
}

async fn measure(bench: &Bench, rate: u64, time: Duration) -> Result<(Worked, u64, f64)> {
    let database = bench.server.database().await?;
    let mut drain = Drain::new(&database, "latency", 0);
    drain.deed = Deed::Latency;
    let mut crew = Crew::start(1, &drain.order()).await?;
    let mut listener = PgListener::connect_with(&database.pool).await?;
    listener.listen("vulkan").await?;
    let counting = tokio::spawn(async move {
        let mut heard = 0_u64;
        while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(2), listener.recv()).await {
            heard += 1;
        }
        heard
    });
    crew.begin().await?;
    wait_for_sleep(&database.client).await?;
    let (published, took) = trickle(&database.client, rate, time).await?;
    crew.until(|progress| progress.handled >= published).await?;
    let worked = crew.stop().await?;
    Ok((worked, counting.await?, took))
}

/// Until the worker has looked for work in vain and sleeps.
async fn wait_for_sleep(client: &Client) -> Result<()> {
    loop {
        let sleeps: bool = sqlx::query_scalar(include_str!("../sql/sleeps.sql"))
            .fetch_one(client.pool())
            .await?;
        if sleeps {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
