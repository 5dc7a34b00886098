//! What an event takes on disk.

use crate::Result;
use crate::bench::Bench;
use crate::fill::Backlog;
use crate::outcome::{Outcome, Target};

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let messages = bench.size(500_000, 20_000);
    let database = bench.server.database().await?;
    Backlog::of(messages).fill(&database).await?;
    let (bytes, payload): (f64, f64) = sqlx::query_as(include_str!("../sql/log_size.sql"))
        .fetch_one(&database.pool)
        .await?;
    let each = outcome.add(
        "the log and its indexes",
        "bytes/event",
        bytes / messages as f64,
    );
    outcome.add("payload as JSON text", "bytes/event", payload);
    outcome.goal("bytes/event", each, Target::AtMost(317.0));
    Ok(outcome)
}
