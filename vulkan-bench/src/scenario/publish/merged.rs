//! One event a call from a thousand tasks, each of which waits until its event is durable.

use std::sync::Arc;

use super::{raw_inserts, with_raw_table};
use crate::Result;
use crate::bench::Bench;
use crate::meter::Meter;
use crate::order::Order;
use crate::outcome::{Outcome, Target};
use crate::scenario::support::hammer;

const TASKS: usize = 1000;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = bench.size(5, 1);
    let database = with_raw_table(bench).await?;
    for _ in bench.turns() {
        let raw = raw_inserts(bench, &database, &mut outcome, seconds).await?;
        let meter = Meter::begin(&bench.server, &database.pool).await?;
        let publisher = Arc::new(database.client.publisher());
        let (events, seconds) = hammer(TASKS, seconds, move |task| {
            let publisher = Arc::clone(&publisher);
            async move {
                publisher
                    .publish(Order::new(task as u64).message()?)
                    .await?;
                Ok(1)
            }
        })
        .await?;
        let merged = outcome.add_rate(
            "1,000 tasks and a Publisher",
            events,
            seconds,
            meter.end().await?,
        );
        outcome.goal("merged / INSERT", merged / raw, Target::AtLeast(5.0));
    }
    Ok(outcome)
}
