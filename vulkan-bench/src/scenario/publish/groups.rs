//! One event a transaction, with one group on the stream and with fifty.

use vulkan::GroupOptions;

use super::publishes;
use crate::Result;
use crate::bench::Bench;
use crate::order::STREAM;
use crate::outcome::{Outcome, Target};
use crate::server::Database;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = bench.size(5, 1);
    let one = with_groups(bench, 1).await?;
    let fifty = with_groups(bench, 50).await?;
    for _ in bench.turns() {
        let few = publishes(bench, &one, &mut outcome, "1 group", seconds).await?;
        let many = publishes(bench, &fifty, &mut outcome, "50 groups", seconds).await?;
        outcome.goal("50 groups / 1 group", many / few, Target::AtLeast(0.95));
    }
    Ok(outcome)
}

async fn with_groups(bench: &Bench, many: usize) -> Result<Database> {
    let database = bench.server.database().await?;
    for group in 0..many {
        let name = format!("group-{group}");
        database
            .client
            .ensure_group(STREAM, &name, GroupOptions::default())
            .await?;
    }
    Ok(database)
}
