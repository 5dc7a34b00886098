use std::time::Duration;

use futures::FutureExt;
use sqlx::FromRow;

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;
use crate::interval::interval;

/// A message still in work, whose lease is to be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The group that handed it out.
    pub group_id: i32,
    /// The message.
    pub offset: i64,
    /// The token it was handed out with.
    pub token: i64,
    /// Its lane, if it has one.
    pub lane: Option<i64>,
}

/// A message whose lease is lost: its settlement will be stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Lost {
    /// The group that handed it out.
    pub group_id: i32,
    /// The message.
    #[sqlx(rename = "event_offset")]
    pub offset: i64,
    /// The token it was handed out with.
    pub token: i64,
}

/// What a look for lost leases gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromRow)]
#[non_exhaustive]
pub struct Reaped {
    /// Claims, each of any number of messages.
    pub claims: i32,
    /// Messages with a lease of their own.
    pub exceptions: i32,
    /// Runs of keys.
    pub lanes: i32,
}

impl Client {
    /// Extends the leases of messages of any groups, each by its group's lease from now.
    /// Returns those that are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; the leases then run on as they were.
    pub async fn extend(&self, held: &[Held]) -> Result<Vec<Lost>, Error> {
        let groups: Vec<i32> = held.iter().map(|held| held.group_id).collect();
        let offsets: Vec<i64> = held.iter().map(|held| held.offset).collect();
        let tokens: Vec<i64> = held.iter().map(|held| held.token).collect();
        let lanes: Vec<Option<i64>> = held.iter().map(|held| held.lane).collect();
        let lost = answered(self, move |connection| {
            sqlx::query_as(include_str!("../../queries/extend.sql"))
                .bind(groups)
                .bind(offsets)
                .bind(tokens)
                .bind(lanes)
                .fetch_all(connection)
                .boxed()
        });
        Ok(lost.await?)
    }

    /// Gives back what lost leases hold, of all groups: those lost within `look_back`, or all.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn reap(&self, look_back: Option<Duration>) -> Result<Reaped, Error> {
        let reaped = answered(self, move |connection| {
            sqlx::query_as(include_str!("../../queries/reap.sql"))
                .bind(look_back.map(interval))
                .fetch_one(connection)
                .boxed()
        });
        Ok(reaped.await?)
    }
}
