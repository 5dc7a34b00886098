//! Five hundred events a transaction.

use sqlx::PgPool;
use sqlx::types::Json;

use super::with_raw_table;
use crate::Result;
use crate::bench::Bench;
use crate::meter::Meter;
use crate::order::{KIND, Order};
use crate::outcome::{Outcome, Target};
use crate::scenario::support::hammer;
use crate::server::Database;

const BATCH: u64 = 500;
/// As many connections insert, and publish.
const CLIENTS: usize = 4;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let seconds = bench.size(5, 1);
    let database = with_raw_table(bench).await?;
    for _ in bench.turns() {
        let meter = Meter::begin(&bench.server, &database.pool).await?;
        let pool = database.pool.clone();
        let (rows, took) = hammer(CLIENTS, seconds, move |_| insert(pool.clone())).await?;
        let raw = outcome.add_rate("INSERT of 500 rows", rows, took, meter.end().await?);

        let ours = batches(
            bench,
            &database,
            &mut outcome,
            "publish of 500 events",
            seconds,
        )
        .await?;
        outcome.goal("publish / INSERT", ours / raw, Target::AtLeast(0.85));
    }
    Ok(outcome)
}

/// Publishes batches of five hundred events on four connections.
pub(crate) async fn batches(
    bench: &Bench,
    database: &Database,
    outcome: &mut Outcome,
    name: &str,
    seconds: u64,
) -> Result<f64> {
    let meter = Meter::begin(&bench.server, &database.pool).await?;
    let client = database.client.clone();
    let (events, took) = hammer(CLIENTS, seconds, move |_| {
        let client = client.clone();
        async move {
            let batch = (0..BATCH)
                .map(|id| Order::new(id).message())
                .collect::<Result<Vec<_>, _>>()?;
            client.publish_many(batch).await?;
            Ok(BATCH)
        }
    })
    .await?;
    Ok(outcome.add_rate(name, events, took, meter.end().await?))
}

async fn insert(pool: PgPool) -> Result<u64> {
    let kinds = vec![KIND; usize::try_from(BATCH)?];
    let payloads: Vec<_> = (0..BATCH).map(|id| Json(Order::new(id))).collect();
    let _: Vec<i64> = sqlx::query_scalar(include_str!("../../sql/raw_insert_many.sql"))
        .bind(kinds)
        .bind(payloads)
        .fetch_all(&pool)
        .await?;
    Ok(BATCH)
}
