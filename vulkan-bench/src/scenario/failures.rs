//! One of twenty messages fails at its first attempt.

use super::support::Drain;
use crate::Result;
use crate::bench::Bench;
use crate::fill::Backlog;
use crate::outcome::{Outcome, Target};
use crate::worker::Deed;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let messages = bench.size(1_000_000, 50_000);
    let database = bench.server.database().await?;
    Backlog::of(messages).fill(&database).await?;
    for turn in bench.turns() {
        let (worked, cost) = Drain::new(&database, format!("none-{turn}"), messages)
            .run(bench)
            .await?;
        let none = outcome.add_rate("none fails", worked.handled, worked.seconds, cost);
        let mut drain = Drain::new(&database, format!("some-{turn}"), messages);
        drain.deed = Deed::FailEvery(20);
        let (worked, cost) = drain.run(bench).await?;
        let some = outcome.add_rate(
            "5 % fail, and are tried again",
            worked.handled,
            worked.seconds,
            cost,
        );
        outcome.goal("some / none", some / none, Target::AtLeast(0.6));
    }
    outcome.note("A message that fails is tried again after 0.1 s.");
    Ok(outcome)
}
