//! What a worker asks of the engine: claim, settle, extend, reap, look, maintain, fire schedules.
//!
//! `vulkan-worker` is written on this and nothing else, and another worker can be. Each call is one
//! round trip and one short transaction; the comments of the SQL functions of the same name say
//! what each promises. A [`Bell`] says when to look for work.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;
use crate::interval::duration;

mod checkpoint;
mod claim;
mod complete;
mod lease;
mod look;
mod maintain;
mod schedule;
mod settle;
mod transaction;

pub use checkpoint::MAX_CHECKPOINT_LEN;
pub use claim::Claimed;
pub use complete::{complete, complete_many};
pub use lease::{Held, Lost, Reaped};
pub use look::Look;
pub use schedule::DueSchedule;
pub use settle::{Fate, Item, Outcome, Settlement, Verdict};
pub use transaction::WorkTransaction;

pub use crate::wake::{Bell, Listening};

/// What a worker needs to know of a group that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// The stream it reads.
    pub stream_id: i32,
    /// A message is dead after this many attempts.
    pub max_attempts: u32,
    /// How long a message stays with a worker that gives no sign of life.
    pub lease: Duration,
    /// What it has in flight or begins is limited, over all its workers.
    pub limited: bool,
}

impl Client {
    /// The options of a group as they stand in the database.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], also if there is no group of that id.
    pub async fn standing(&self, group_id: i32) -> Result<Standing, Error> {
        let pool = self.pool().clone();
        let (stream_id, max_attempts, lease, limited): (i32, i32, PgInterval, bool) =
            to_the_end(async move {
                sqlx::query_as(include_str!("../queries/group_options.sql"))
                    .bind(group_id)
                    .fetch_one(&pool)
                    .await
            })
            .await?;
        Ok(Standing {
            stream_id,
            max_attempts: u32::try_from(max_attempts).unwrap_or(u32::MAX),
            lease: duration(lease),
            limited,
        })
    }
}
