//! The log that Postgres writes ahead: what handling messages adds to publishing them.

use super::support::{Drain, Producer, Shape};
use crate::Result;
use crate::bench::Bench;
use crate::meter::Meter;
use crate::outcome::{Outcome, Target};
use crate::worker::Crew;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let messages = bench.size(1_000_000, 50_000);
    for _ in bench.turns() {
        let alone = bench.server.database().await?;
        alone.settle().await?;
        let meter = Meter::begin(&bench.server, &alone.pool).await?;
        let producer = Producer::start(&alone.client, Shape::NoKeys);
        let published = producer.until_published(None, messages).await?;
        let only = wal_each(meter, published).await?;
        outcome.add("published", "bytes/message", only);

        let both = bench.server.database().await?;
        let mut crew = Crew::start(1, &Drain::new(&both, "wal", 0).order()).await?;
        both.settle().await?;
        let meter = Meter::begin(&bench.server, &both.pool).await?;
        let producer = Producer::start(&both.client, Shape::NoKeys);
        crew.begin().await?;
        let published = producer.until_published(Some(&crew), messages).await?;
        crew.until(|progress| progress.handled >= published).await?;
        crew.stop().await?;
        let with = wal_each(meter, published).await?;
        outcome.add("published and handled", "bytes/message", with);
        outcome.goal("handled, bytes/message", with - only, Target::AtMost(5.0));
    }
    Ok(outcome)
}

async fn wal_each(meter: Meter, messages: u64) -> Result<f64> {
    Ok(meter.end().await?.wal_bytes / messages as f64)
}
