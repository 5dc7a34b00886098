//! Ten million messages waiting, against ten thousand.

use std::time::{Duration, Instant};

use vulkan::GroupOptions;

use super::publish::batches;
use super::support::Drain;
use crate::Result;
use crate::bench::Bench;
use crate::fill::Backlog;
use crate::order::STREAM;
use crate::outcome::{Outcome, Target};
use crate::server::Database;
use crate::worker::Crew;

const SMALL: u64 = 10_000;
const CLAIM: i32 = 500;
const SLOTS: usize = 256;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = bench.size(5, 1);
    let large = bench.server.database().await?;
    Backlog::of(bench.size(10_000_000, 100_000))
        .fill(&large)
        .await?;
    for turn in bench.turns() {
        // Anew each time, since publishing makes it grow.
        let small = bench.server.database().await?;
        Backlog::of(SMALL).fill(&small).await?;
        // The worker first, so that what is waiting is of the size that it says.
        let before = memory(&small, &format!("memory-{turn}"), SMALL / 2).await?;
        let after = memory(
            &large,
            &format!("memory-{turn}"),
            bench.size(1_000_000, 50_000),
        )
        .await?;
        outcome.add("10 thousand: memory of the worker", "MiB", before);
        outcome.add("10 million: memory of the worker", "MiB", after);
        outcome.goal(
            "memory with 256 slots and 10 million, MiB",
            after,
            Target::AtMost(64.0),
        );

        let few = claims(&small, turn, seconds).await?;
        let many = claims(&large, turn, seconds).await?;
        outcome.add("10 thousand: claim and settle of 500", "1/s", few);
        outcome.add("10 million: claim and settle of 500", "1/s", many);
        outcome.goal(
            "claim, 10 million / 10 thousand",
            many / few,
            Target::AtLeast(0.95),
        );

        let few = batches(bench, &small, &mut outcome, "10 thousand: publish", seconds).await?;
        let many = batches(bench, &large, &mut outcome, "10 million: publish", seconds).await?;
        outcome.goal(
            "publish, 10 million / 10 thousand",
            many / few,
            Target::AtLeast(0.95),
        );
    }
    Ok(outcome)
}

/// The most memory that a worker takes for so many messages, in MiB.
async fn memory(database: &Database, group: &str, messages: u64) -> Result<f64> {
    let mut drain = Drain::new(database, group, messages);
    drain.slots = SLOTS;
    let mut crew = Crew::start(1, &drain.order()).await?;
    crew.begin().await?;
    crew.until(|progress| progress.handled >= messages).await?;
    let peak = crew.stop().await?.peak_bytes;
    Ok(peak.ok_or("the memory of processes is not known on this system")? as f64 / 1_048_576.0)
}

/// Claims of new groups, each settled at once, a second. A group claims what ten thousand messages allow.
async fn claims(database: &Database, turn: u32, seconds: u64) -> Result<f64> {
    let mut connection = database.pool.acquire().await?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut claims, mut took) = (0_u32, Duration::ZERO);
    let mut round = 0;
    while Instant::now() < end {
        let group = database
            .client
            .ensure_group(
                STREAM,
                &format!("claims-{turn}-{round}"),
                GroupOptions::default(),
            )
            .await?;
        round += 1;
        for _ in 0..SMALL / u64::try_from(CLAIM)? {
            let begun = Instant::now();
            let claimed: Option<(i64, i64)> = sqlx::query_as(include_str!("../sql/claim.sql"))
                .bind(group)
                .bind(CLAIM)
                .fetch_optional(&mut *connection)
                .await?;
            let (hi, token) = claimed.ok_or("there was nothing to claim")?;
            sqlx::query(include_str!("../sql/settle.sql"))
                .bind(group)
                .bind(hi)
                .bind(token)
                .execute(&mut *connection)
                .await?;
            took += begun.elapsed();
            claims += 1;
        }
    }
    Ok(f64::from(claims) / took.as_secs_f64())
}
