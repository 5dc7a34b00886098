//! The program's own table: what each carrier's flights come to.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};

use crate::Error;
use crate::flight::Flight;

/// What the flights of one carrier come to.
#[derive(Debug, Default, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Total {
    pub(crate) flights: i64,
    pub(crate) cancelled: i64,
    pub(crate) minutes_late: i64,
}

impl Total {
    fn of(flight: &Flight) -> Self {
        Self {
            flights: 1,
            cancelled: flight.departure.is_none().into(),
            minutes_late: flight.arrival_delay.unwrap_or(0).into(),
        }
    }
}

pub(crate) async fn create(pool: &PgPool) -> Result<(), Error> {
    sqlx::query(include_str!("sql/create_carriers.sql"))
        .execute(pool)
        .await?;
    Ok(())
}

/// Adds some flights, a row for each carrier.
pub(crate) async fn add(
    connection: &mut PgConnection,
    flights: impl IntoIterator<Item = &Flight>,
) -> sqlx::Result<()> {
    let totals = sum(flights);
    let column = |of: fn(&Total) -> i64| totals.values().map(of).collect::<Vec<_>>();
    sqlx::query(include_str!("sql/add_flights.sql"))
        .bind(totals.keys().collect::<Vec<_>>())
        .bind(column(|total| total.flights))
        .bind(column(|total| total.cancelled))
        .bind(column(|total| total.minutes_late))
        .execute(connection)
        .await?;
    Ok(())
}

/// What the handler made of it.
pub(crate) async fn all(pool: &PgPool) -> Result<BTreeMap<String, Total>, Error> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(include_str!("sql/carriers.sql"))
        .fetch_all(pool)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(carrier, flights, cancelled, minutes_late)| {
            (
                carrier,
                Total {
                    flights,
                    cancelled,
                    minutes_late,
                },
            )
        })
        .collect())
}

/// What the flights come to, by carrier.
pub(crate) fn sum<'a>(flights: impl IntoIterator<Item = &'a Flight>) -> BTreeMap<String, Total> {
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    for flight in flights {
        let (total, one) = (
            totals.entry(flight.carrier.clone()).or_default(),
            Total::of(flight),
        );
        total.flights += one.flights;
        total.cancelled += one.cancelled;
        total.minutes_late += one.minutes_late;
    }
    totals
}
