use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::PgExecutor;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::Client;
use crate::detach::{ANSWER, answered, answered_or, to_the_end};
use crate::error::Error;

/// What one reader of a group holds, or asks for: the lease that makes it the active one.
#[derive(Debug)]
pub(super) struct Seat {
    client: Client,
    group_id: i32,
    name: String,
    /// The term under which this reader is active, or was last. 0: never yet.
    term: AtomicI64,
    /// Up to here the log was read: what was handed to this reader was stable.
    seen: AtomicI64,
    /// The reader is closed.
    closed: CancellationToken,
    /// Held while the lease is asked for. An asking whose caller is gone runs on, and must not come
    /// after the giving up.
    asking: Mutex<()>,
}

/// A term as the active reader.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(super) struct Tenure {
    pub(super) term: i64,
    /// The committed position.
    pub(super) cursor: i64,
}

impl Seat {
    pub(super) fn new(client: Client, group_id: i32) -> Self {
        Self {
            client,
            group_id,
            name: Uuid::new_v4().to_string(),
            term: AtomicI64::new(0),
            seen: AtomicI64::new(0),
            closed: CancellationToken::new(),
            asking: Mutex::new(()),
        }
    }

    pub(super) fn group_id(&self) -> i32 {
        self.group_id
    }

    /// Commits are made under this term from now on.
    pub(super) fn enter(&self, term: i64) {
        self.term.store(term, Ordering::Release);
    }

    /// The log was read up to here.
    pub(super) fn saw(&self, up_to: i64) {
        self.seen.fetch_max(up_to, Ordering::Release);
    }

    /// Returns when the reader is closed.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Takes the seat or renews the lease; `None` while another reader is active.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Option<Tenure>, Error> {
        let seat = self.clone();
        to_the_end(async move {
            let _asking = seat.asking.lock().await;
            if seat.closed.is_cancelled() {
                return Ok(None);
            }
            let asker = seat.clone();
            let taken = answered(&seat.client, move |connection| {
                Box::pin(async move {
                    sqlx::query_as(include_str!("../../queries/take_cursor.sql"))
                        .bind(asker.group_id)
                        .bind(&asker.name)
                        .fetch_optional(connection)
                        .await
                })
            });
            Ok(taken.await?)
        })
        .await
    }

    /// Gives a term back, so that a standby need not wait for the lease to run out.
    pub(super) async fn release(self: &Arc<Self>, term: i64) -> Result<(), Error> {
        let seat = self.clone();
        to_the_end(async move {
            let _asking = seat.asking.lock().await;
            let group_id = seat.group_id;
            let released = answered(&seat.client, move |connection| {
                Box::pin(
                    sqlx::query(include_str!("../../queries/release_cursor.sql"))
                        .bind(group_id)
                        .bind(term)
                        .execute(connection),
                )
            });
            released.await?;
            Ok(())
        })
        .await
    }

    /// Gives the seat up for good.
    pub(super) async fn close(self: &Arc<Self>) -> Result<(), Error> {
        self.closed.cancel();
        self.release(self.term()).await
    }

    pub(super) async fn commit(self: &Arc<Self>, offset: i64) -> Result<i64, Error> {
        let seat = self.clone();
        answered_or(ANSWER, &self.client, move |connection| {
            Box::pin(async move { seat.commit_in(connection, offset).await })
        })
        .await
    }

    pub(super) async fn commit_in<'e>(
        &self,
        executor: impl PgExecutor<'e>,
        offset: i64,
    ) -> Result<i64, Error> {
        Ok(
            sqlx::query_scalar(include_str!("../../queries/commit_cursor.sql"))
                .bind(self.group_id)
                .bind(self.term())
                .bind(offset)
                .bind(offset <= self.seen.load(Ordering::Acquire))
                .fetch_one(executor)
                .await?,
        )
    }

    fn term(&self) -> i64 {
        self.term.load(Ordering::Acquire)
    }
}
