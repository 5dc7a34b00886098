use sqlx::FromRow;

use super::DryRun;
use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;
use crate::position::{Arguments, Position};

/// What setting a group to another position did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
#[non_exhaustive]
pub struct Replayed {
    /// The cursor before.
    pub cursor_was: i64,
    /// The cursor after.
    pub cursor_is: i64,
    /// Messages that are handed out again.
    pub again: i64,
    /// Messages that are passed over.
    pub passed_over: i64,
    /// Messages in flight whose settlement will be stale.
    pub fenced: i64,
    /// Retries and dead letters that are forgotten.
    pub forgotten: i64,
}

impl Client {
    /// Sets a group to another position of its stream.
    ///
    /// Backwards, everything above it is handed out again, under the bindings of now. Forwards, what
    /// waits in between is passed over; retries and dead letters stay.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`], [`Error::UnknownGroup`]; [`Error::Invalid`] for a negative offset.
    pub async fn replay(
        &self,
        stream: &str,
        group: &str,
        to: Position,
        dry_run: DryRun,
    ) -> Result<Replayed, Error> {
        let (pool, stream, group) = (self.pool().clone(), stream.to_owned(), group.to_owned());
        to_the_end(async move {
            let to = Arguments::from(to);
            Ok(sqlx::query_as(include_str!("../../queries/replay.sql"))
                .bind(stream)
                .bind(group)
                .bind(to.offset)
                .bind(to.time)
                .bind(to.position)
                .bind(to.group)
                .bind(dry_run == DryRun::Yes)
                .fetch_one(&pool)
                .await?)
        })
        .await
    }
}
