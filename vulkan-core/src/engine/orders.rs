use futures::FutureExt;
use sqlx::FromRow;

use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;

/// What is asked of a worker while it works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orders {
    /// To drain: to claim nothing more, to finish, and to end.
    pub drain: bool,
    /// To stop these messages, where they are its own.
    pub stops: Vec<Stop>,
}

/// A message in work that was asked to stop by [`Client::cancel`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stop {
    /// The group.
    pub group_id: i32,
    /// The message.
    pub offset: i64,
    /// The token it was in work under: another worker's is not meant.
    pub token: i64,
    /// Why.
    pub reason: Option<String>,
}

#[derive(FromRow)]
struct Row {
    drain: bool,
    group_id: Option<i32>,
    event_offset: Option<i64>,
    token: Option<i64>,
    reason: Option<String>,
}

impl Client {
    /// What is asked of a worker, this process of its name, that serves these groups.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn worker_orders(
        &self,
        worker: &str,
        instance: &str,
        groups: &[i32],
    ) -> Result<Orders, Error> {
        let (worker, instance) = (worker.to_owned(), instance.to_owned());
        let groups = groups.to_vec();
        let rows: Vec<Row> = answered(self, move |connection| {
            sqlx::query_as(include_str!("../../queries/worker_orders.sql"))
                .bind(worker)
                .bind(instance)
                .bind(groups)
                .fetch_all(connection)
                .boxed()
        })
        .await?;
        let stop = |row: Row| {
            Some(Stop {
                group_id: row.group_id?,
                offset: row.event_offset?,
                token: row.token?,
                reason: row.reason,
            })
        };
        Ok(Orders {
            drain: rows.iter().any(|row| row.drain),
            stops: rows.into_iter().filter_map(stop).collect(),
        })
    }

    /// Whether another worker of the group has a handler for messages of this kind, or may have: what a worker asks
    /// that has none, before it fails them.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn taken_elsewhere(
        &self,
        group_id: i32,
        worker: &str,
        kind: &str,
    ) -> Result<bool, Error> {
        let (worker, kind) = (worker.to_owned(), kind.to_owned());
        let taken = answered(self, move |connection| {
            sqlx::query_scalar(include_str!("../../queries/taken_elsewhere.sql"))
                .bind(group_id)
                .bind(worker)
                .bind(kind)
                .fetch_one(connection)
                .boxed()
        });
        Ok(taken.await?)
    }
}
