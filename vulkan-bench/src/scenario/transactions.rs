//! Handlers whose effects happen exactly once, against the same INSERT without messages.

use sqlx::PgPool;

use super::support::{Drain, hammer};
use crate::Result;
use crate::bench::Bench;
use crate::fill::Backlog;
use crate::meter::Meter;
use crate::order::Order;
use crate::outcome::{Outcome, Target};
use crate::worker::Deed;

/// Transactions at once, and connections.
const AT_ONCE: usize = 16;
const BATCH: usize = 100;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let messages = bench.size(60_000, 5_000);
    let database = bench.server.database().await?;
    sqlx::raw_sql(include_str!("../sql/effects_table.sql"))
        .execute(&database.pool)
        .await?;
    Backlog::of(messages).fill(&database).await?;
    for turn in bench.turns() {
        let meter = Meter::begin(&bench.server, &database.pool).await?;
        let pool = database.pool.clone();
        let (rows, seconds) =
            hammer(AT_ONCE, bench.size(5, 1), move |_| insert(pool.clone())).await?;
        let alone = outcome.add_rate("INSERT and COMMIT alone", rows, seconds, meter.end().await?);
        for (name, deed, target) in [
            ("a transaction a message", Deed::Insert, 0.6),
            (
                "a transaction a batch of 100",
                Deed::InsertBatch(BATCH),
                5.0,
            ),
        ] {
            sqlx::query("TRUNCATE effects")
                .execute(&database.pool)
                .await?;
            let mut drain = Drain::new(
                &database,
                format!("{name}-{turn}").replace(' ', "-"),
                messages,
            );
            drain.deed = deed;
            drain.slots = AT_ONCE;
            let (worked, cost) = drain.run(bench).await?;
            let rate = outcome.add_rate(name, worked.handled, worked.seconds, cost);
            outcome.goal(
                &format!("{name} / alone"),
                rate / alone,
                Target::AtLeast(target),
            );
            let effects: i64 = sqlx::query_scalar("SELECT count(*) FROM effects")
                .fetch_one(&database.pool)
                .await?;
            if u64::try_from(effects)? != messages {
                return Err(format!("{messages} messages had {effects} effects").into());
            }
        }
    }
    Ok(outcome)
}

async fn insert(pool: PgPool) -> Result<u64> {
    let order = Order::new(0);
    let mut transaction = pool.begin().await?;
    sqlx::query(include_str!("../sql/effect.sql"))
        .bind(i64::try_from(order.id)?)
        .bind(&order.note)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(1)
}
