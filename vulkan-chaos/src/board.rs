//! The scoreboard: reads the ledgers into the database, and asks it every number there.
//!
//! "Lost" is 0 only if it is earned. What was published is known from the producer's own file, and what was done from the
//! files of the workers and from the payments; a message that the engine calls done, and that nobody has handled, is lost.

mod reader;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use sqlx::FromRow;
use tokio::sync::watch;

pub(crate) use reader::Reader;

use crate::Result;
use crate::number::Counts;

/// Between two readings at least, or as long as the last one took.
const REST: Duration = Duration::from_millis(400);

/// Everything that the database told at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    pub(crate) counts: Counts,
    pub(crate) stall: Option<Stall>,
    pub(crate) snapshot: Option<HeldSnapshot>,
    pub(crate) at: Instant,
    pub(crate) took: Duration,
}

/// A publisher's open transaction that the stream waits for.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub(crate) struct Stall {
    pub(crate) pid: i32,
    pub(crate) seconds: f64,
    pub(crate) behind: i64,
}

impl Stall {
    pub(crate) const SQL: &str = include_str!("sql/stall.sql");
}

/// A snapshot that somebody holds.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub(crate) struct HeldSnapshot {
    pub(crate) pid: i32,
    pub(crate) seconds: f64,
    pub(crate) dead_rows: Option<i64>,
}

impl HeldSnapshot {
    pub(crate) const SQL: &str = include_str!("sql/snapshot.sql");
}

/// The last board that could be read, and why there is no newer one if there should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latest {
    pub(crate) board: Option<Board>,
    pub(crate) trouble: Option<String>,
}

/// Reads again and again, until nobody looks any more.
pub(crate) async fn keep_reading(mut reader: Reader, latest: watch::Sender<Latest>) -> Result<()> {
    while !latest.is_closed() {
        let began = Instant::now();
        match reader.read().await {
            Ok(board) => {
                latest.send_replace(Latest {
                    board: Some(board),
                    trouble: None,
                });
            }
            Err(error) => {
                let board = latest.borrow().board.clone();
                let trouble = Some(in_short(&*error));
                latest.send_replace(Latest { board, trouble });
                tokio::time::sleep(REST).await;
                continue;
            }
        }
        tokio::time::sleep(REST.max(began.elapsed())).await;
    }
    Ok(())
}

/// What the server said, or else what the driver says.
pub(crate) fn in_short(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(said)) => said.message().to_owned(),
        _ => error.to_string(),
    }
}
