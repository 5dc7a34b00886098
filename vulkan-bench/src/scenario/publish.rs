//! Publishing, against the same rows inserted into a like table.

pub(crate) mod batch;
pub(crate) mod groups;
pub(crate) mod load;
pub(crate) mod merged;
pub(crate) mod one;

pub(crate) use batch::batches;
use sqlx::PgPool;
use sqlx::types::Json;

use super::support::hammer;
use crate::Result;
use crate::bench::Bench;
use crate::meter::Meter;
use crate::order::{KIND, Order};
use crate::outcome::Outcome;
use crate::server::Database;

/// As many connections insert, and publish.
const CLIENTS: usize = 16;

/// A database with a table in it that is like a leaf of the log, and nothing else.
async fn with_raw_table(bench: &Bench) -> Result<Database> {
    let database = bench.server.database().await?;
    sqlx::raw_sql(include_str!("../sql/raw_table.sql"))
        .execute(&database.pool)
        .await?;
    Ok(database)
}

/// Inserts single rows on sixteen connections, each in a transaction of its own.
async fn raw_inserts(
    bench: &Bench,
    database: &Database,
    outcome: &mut Outcome,
    seconds: u64,
) -> Result<f64> {
    let meter = Meter::begin(&bench.server, &database.pool).await?;
    let pool = database.pool.clone();
    let (rows, seconds) = hammer(CLIENTS, seconds, move |task| {
        raw_insert(pool.clone(), task as u64)
    })
    .await?;
    Ok(outcome.add_rate("INSERT of one row", rows, seconds, meter.end().await?))
}

async fn raw_insert(pool: PgPool, id: u64) -> Result<u64> {
    let _: i64 = sqlx::query_scalar(include_str!("../sql/raw_insert.sql"))
        .bind(KIND)
        .bind(Json(Order::new(id)))
        .fetch_one(&pool)
        .await?;
    Ok(1)
}

/// Publishes single events on sixteen connections, each in a transaction of its own.
async fn publishes(
    bench: &Bench,
    database: &Database,
    outcome: &mut Outcome,
    name: &str,
    seconds: u64,
) -> Result<f64> {
    let meter = Meter::begin(&bench.server, &database.pool).await?;
    let client = database.client.clone();
    let (events, seconds) = hammer(CLIENTS, seconds, move |task| {
        let client = client.clone();
        async move {
            client.publish(Order::new(task as u64).message()?).await?;
            Ok(1)
        }
    })
    .await?;
    Ok(outcome.add_rate(name, events, seconds, meter.end().await?))
}
