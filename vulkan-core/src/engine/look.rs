use std::time::Duration;

use futures::FutureExt;
use sqlx::FromRow;
use sqlx::postgres::types::PgInterval;

use crate::client::Client;
use crate::detach::answered_within;
use crate::error::Error;
use crate::interval::duration;

/// What an idle worker learns about one of its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Look {
    /// The group.
    pub group_id: i32,
    /// Something can be claimed now.
    pub due: bool,
    /// Publishers are in flight: looking again soon pays.
    pub pending: bool,
    /// How long until the next retry or delayed message falls due, or the group's rate or breaker lets it go on.
    pub next_in: Option<Duration>,
    /// What the group has in flight or begins is limited: what ends may make room for more.
    pub limited: bool,
}

/// A look takes milliseconds, and all the groups of a process sleep while it waits.
const ANSWER: Duration = Duration::from_secs(5);

#[derive(FromRow)]
struct Row {
    group_id: i32,
    due: bool,
    pending: bool,
    wait: Option<PgInterval>,
    limited: bool,
}

impl Client {
    /// Asks about many groups at once whether there is anything to claim.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; [`Error::Unsafe`] on a standby.
    pub async fn look(&self, groups: &[i32]) -> Result<Vec<Look>, Error> {
        let groups = groups.to_vec();
        let rows: Vec<Row> = answered_within(ANSWER, self, move |connection| {
            sqlx::query_as(include_str!("../../queries/look.sql"))
                .bind(groups)
                .fetch_all(connection)
                .boxed()
        })
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Look {
                group_id: row.group_id,
                due: row.due,
                pending: row.pending,
                next_in: row.wait.map(duration),
                limited: row.limited,
            })
            .collect())
    }
}
