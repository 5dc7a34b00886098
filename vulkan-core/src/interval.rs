//! Spans of time, as Postgres has them.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

/// A thousand years, in microseconds: further from now there are no timestamps.
const LONGEST: i64 = 1000 * 365 * 86_400_000_000;

/// To the microsecond; longer than Postgres can hold is as long as it can.
pub(crate) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros())
            .unwrap_or(i64::MAX)
            .min(LONGEST),
    }
}

/// The span of an interval without months; below zero it is zero.
pub(crate) fn duration(interval: PgInterval) -> Duration {
    let days = i64::from(interval.days) * 86_400_000_000;
    Duration::from_micros(u64::try_from(interval.microseconds.saturating_add(days)).unwrap_or(0))
}
