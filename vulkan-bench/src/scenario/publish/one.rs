//! One event a transaction.

use super::{publishes, raw_inserts, with_raw_table};
use crate::Result;
use crate::bench::Bench;
use crate::outcome::{Outcome, Target};

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = bench.size(5, 1);
    let database = with_raw_table(bench).await?;
    for _ in bench.turns() {
        let raw = raw_inserts(bench, &database, &mut outcome, seconds).await?;
        let ours = publishes(bench, &database, &mut outcome, "publish", seconds).await?;
        outcome.goal("publish / INSERT", ours / raw, Target::AtLeast(0.65));
    }
    Ok(outcome)
}
