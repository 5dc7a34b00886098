//! A backlog drained, against paging through the same rows, and against the peers.

use sqlx::types::Json;

use super::support::Drain;
use crate::Result;
use crate::bench::Bench;
use crate::clock::now_us;
use crate::fill::Backlog;
use crate::meter::{Cost, Meter};
use crate::order::{Order, STREAM};
use crate::outcome::{Outcome, Target};
use crate::peer::Work;
use crate::server::Database;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let messages = bench.size(1_000_000, 50_000);
    let database = bench.server.database().await?;
    Backlog::of(messages).fill(&database).await?;
    page(bench, &database).await?;
    for turn in bench.turns() {
        let (seconds, cost) = page(bench, &database).await?;
        let paging = outcome.add_rate("paging by 500", messages, seconds, cost);
        let (worked, cost) = Drain::new(&database, format!("drain-{turn}"), messages)
            .run(bench)
            .await?;
        let drain = outcome.add_rate("vulkan", worked.handled, worked.seconds, cost);
        outcome.goal("drain / paging", drain / paging, Target::AtLeast(0.4));
        for peer in bench.peers.all() {
            let work = Work::Drain {
                messages: bench.size(peer.backlog(), 1_000),
                slots: peer.slots(),
            };
            let done = peer.run(bench, work).await?;
            let rate = outcome.add_rate(peer.name(), done.handled, done.seconds, done.cost);
            if peer.retries_each() {
                outcome.goal(
                    &format!("drain / {}", peer.name()),
                    drain / rate,
                    Target::AtLeast(5.0),
                );
            }
        }
    }
    Ok(outcome)
}

/// Reads all events by 500 on one connection, and decodes each.
async fn page(bench: &Bench, database: &Database) -> Result<(f64, Cost)> {
    let stream = database.client.stream_id(STREAM).await?;
    let mut connection = database.pool.acquire().await?;
    let meter = Meter::begin(&bench.server, &database.pool).await?;
    let begun = now_us();
    let mut newest = 0_i64;
    loop {
        let rows: Vec<(i64, String, Json<Order>)> = sqlx::query_as(include_str!("../sql/page.sql"))
            .bind(stream)
            .bind(newest)
            .fetch_all(&mut *connection)
            .await?;
        let Some(last) = rows.last() else { break };
        newest = last.0;
        std::hint::black_box(&rows);
    }
    Ok((crate::clock::seconds(begun, now_us()), meter.end().await?))
}
