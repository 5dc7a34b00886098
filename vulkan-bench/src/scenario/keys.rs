//! A backlog with partition keys, against one without.

use super::support::Drain;
use crate::Result;
use crate::bench::Bench;
use crate::fill::Backlog;
use crate::outcome::{Outcome, Target};
use crate::worker::Deed;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let messages = bench.size(500_000, 20_000);
    let unkeyed = bench.server.database().await?;
    Backlog::of(messages).fill(&unkeyed).await?;
    let mut keyed = Vec::new();
    for (name, keys) in [("1,000 keys", 1_000), ("100,000 keys", 100_000)] {
        let database = bench.server.database().await?;
        Backlog::keyed(messages, keys).fill(&database).await?;
        keyed.push((name, keys, database));
    }
    let mut out_of_order = 0;
    for turn in bench.turns() {
        let (worked, cost) = Drain::new(&unkeyed, format!("drain-{turn}"), messages)
            .run(bench)
            .await?;
        let plain = outcome.add_rate("no keys", worked.handled, worked.seconds, cost);
        for (name, keys, database) in &keyed {
            let mut drain = Drain::new(database, format!("drain-{turn}"), messages);
            drain.deed = Deed::InOrder { keys: *keys };
            let (worked, cost) = drain.run(bench).await?;
            let rate = outcome.add_rate(name, worked.handled, worked.seconds, cost);
            out_of_order += worked.out_of_order;
            outcome.goal(
                &format!("{name} / no keys"),
                rate / plain,
                Target::AtLeast(0.3),
            );
        }
    }
    outcome.goal(
        "messages out of order",
        out_of_order as f64,
        Target::AtMost(0.0),
    );
    Ok(outcome)
}
