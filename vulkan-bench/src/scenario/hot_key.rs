//! Four fifths of the messages on one key: what it does to the others.

use super::support::Drain;
use crate::Result;
use crate::bench::Bench;
use crate::clock::seconds;
use crate::fill::Backlog;
use crate::outcome::{Outcome, Target};
use crate::worker::{Crew, Deed};

const KEYS: u32 = 10_000;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let all = bench.size(500_000, 20_000);
    let rest = all / 5;
    let alone = bench.server.database().await?;
    Backlog::keyed(rest, KEYS).fill(&alone).await?;
    let beside = bench.server.database().await?;
    let backlog = Backlog {
        hot_percent: 80,
        ..Backlog::keyed(all, KEYS)
    };
    backlog.fill(&beside).await?;
    for turn in bench.turns() {
        let (worked, cost) = Drain::new(&alone, format!("hot-{turn}"), rest)
            .run(bench)
            .await?;
        let lone = outcome.add_rate("the rest, alone", worked.handled, worked.seconds, cost);

        let mut drain = Drain::new(&beside, format!("hot-{turn}"), all);
        drain.deed = Deed::InOrder { keys: KEYS };
        let mut crew = Crew::start(1, &drain.order()).await?;
        crew.begin().await?;
        let others = crew.until(|progress| progress.others >= rest).await?;
        let beside = rest as f64 / seconds(crew.begun_us, others.at_us);
        outcome.add("the rest, beside the hot key", "messages/s", beside);
        outcome.goal(
            "the rest, beside / alone",
            beside / lone,
            Target::AtLeast(0.8),
        );
        crew.until(|progress| progress.handled >= all).await?;
        let worked = crew.stop().await?;
        let hot = (all - rest) as f64 / worked.seconds;
        outcome.add("the hot key", "messages/s", hot);
        outcome.goal("the hot key, messages/s", hot, Target::AtLeast(5000.0));
        outcome.goal(
            "messages out of order",
            worked.out_of_order as f64,
            Target::AtMost(0.0),
        );
    }
    Ok(outcome)
}
