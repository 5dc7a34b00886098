use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval, timeout};
use vulkan::Client;

use super::answer::{ANSWER, given_up};
use super::meters::Meters;
use super::stop::Stop;
use super::{GROUP, STREAM};

/// How many messages nobody has claimed, as the database said last. While it is away nothing is published or claimed, so
/// that it stands still.
#[derive(Debug)]
pub(super) struct Depth(Mutex<Reading>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    waiting: u64,
    /// How old the oldest of them was.
    oldest: Option<Duration>,
    /// How many were published just before it was asked for.
    enqueued: u64,
    at: Instant,
}

impl Depth {
    /// Asks for the first time.
    pub(super) async fn read(pool: &PgPool, meters: &Meters) -> sqlx::Result<Self> {
        Ok(Self(Mutex::new(read(pool, meters).await?)))
    }

    /// How many there were.
    pub(super) fn known(&self) -> u64 {
        self.last().waiting
    }

    /// How many there may be by now, with all that has been published since. What was claimed since is not taken off:
    /// a claim can be in the answer of the database before it is known here, and would count twice.
    pub(super) fn at_most(&self, enqueued: u64) -> u64 {
        let last = self.last();
        last.waiting
            .saturating_add(enqueued.saturating_sub(last.enqueued))
    }

    /// How old the oldest of them is, if any waited when the database was asked.
    pub(super) fn oldest(&self) -> Option<Duration> {
        let last = self.last();
        last.oldest.map(|oldest| oldest + last.at.elapsed())
    }

    fn last(&self) -> Reading {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, reading: Reading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

/// Asks again and again.
pub(super) async fn follow(
    client: Client,
    depth: Arc<Depth>,
    meters: Arc<Meters>,
    every: Duration,
    stop: Stop,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut well = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.asked() => return,
        }
        let answer = tokio::select! {
            answer = read(client.pool(), &meters) => answer,
            () = stop.asked() => return,
        };
        match answer {
            Ok(reading) => {
                depth.set(reading);
                well = true;
            }
            // Once for each time that it is away.
            Err(error) if well => {
                tracing::warn!(%error, "cannot ask for the depth; it is as last known");
                well = false;
            }
            _ => {}
        }
    }
}

/// Asks, in a time. Dropped in the middle, it leaves a connection that is of no more use; so it is dropped only at the end.
async fn read(pool: &PgPool, meters: &Meters) -> sqlx::Result<Reading> {
    let mut connection = pool.acquire().await?;
    let enqueued = meters.counts().enqueued;
    let call = sqlx::query_as(include_str!("../sql/adapter_depth.sql"))
        .bind(STREAM)
        .bind(GROUP)
        .fetch_one(&mut *connection);
    let (unclaimed, due, oldest): (i64, i64, Option<f64>) = match timeout(ANSWER, call).await {
        Ok(answer) => answer?,
        Err(_) => return Err(given_up(connection)),
    };
    let count = |messages| u64::try_from(messages).unwrap_or_default();
    Ok(Reading {
        waiting: count(unclaimed) + count(due),
        oldest: oldest.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        enqueued,
        at: Instant::now(),
    })
}
