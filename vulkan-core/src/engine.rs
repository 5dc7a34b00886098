//! What a worker asks of the engine: claim, settle, extend, reap, look, maintain, fire schedules, beat.
//!
//! `vulkan-worker` is written on this and nothing else, and another worker can be. Each call is one
//! round trip and one short transaction; the comments of the SQL functions of the same name say
//! what each promises. A [`Bell`] says when to look for work.

use std::time::Duration;

use futures::FutureExt;
use sqlx::postgres::types::PgInterval;

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;
use crate::interval::duration;

mod beat;
mod checkpoint;
mod claim;
mod complete;
mod declare;
mod lease;
mod look;
mod maintain;
mod orders;
mod schedule;
mod settle;
mod transaction;

pub use beat::{Answer, Beat};
pub use checkpoint::MAX_CHECKPOINT_LEN;
pub use claim::Claimed;
pub use complete::{complete, complete_many};
pub use declare::{Declared, Difference};
pub use lease::{Held, Lost, Reaped};
pub use look::Look;
pub use orders::{Orders, Stop};
pub use schedule::DueSchedule;
pub use settle::{Fate, Item, Outcome, Settlement, Verdict};
pub use transaction::WorkTransaction;

pub use crate::wake::{Bell, Listening};

/// What a worker needs to know of a group that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// The group.
    pub group_id: i32,
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
        let mut found = self.standings(&[group_id]).await?;
        found.pop().ok_or(Error::Database(sqlx::Error::RowNotFound))
    }

    /// The options of groups as they stand in the database; those that do not exist are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn standings(&self, group_ids: &[i32]) -> Result<Vec<Standing>, Error> {
        let group_ids = group_ids.to_vec();
        let rows: Vec<(i32, i32, i32, PgInterval, bool)> = answered(self, move |connection| {
            sqlx::query_as(include_str!("../queries/group_options.sql"))
                .bind(group_ids)
                .fetch_all(connection)
                .boxed()
        })
        .await?;
        let standing = |(group_id, stream_id, max_attempts, lease, limited)| Standing {
            group_id,
            stream_id,
            max_attempts: u32::try_from(max_attempts).unwrap_or(u32::MAX),
            lease: duration(lease),
            limited,
        };
        Ok(rows.into_iter().map(standing).collect())
    }
}
