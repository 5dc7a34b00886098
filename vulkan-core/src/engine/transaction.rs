use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgTransactionManager};
use sqlx_core::transaction::TransactionManager;
use tokio::time::timeout;

use super::{Held, complete, complete_many};
use crate::client::Client;
use crate::detach::{ANSWER, silent, to_the_end};
use crate::error::Error;

/// A transaction that a handler writes in, and that then marks its messages done.
///
/// Dropped before it has ended, at whatever await, it takes its connection with it: nobody waits for what
/// is still running on it, and the database rolls back.
pub struct WorkTransaction {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

impl WorkTransaction {
    /// Marks these messages of one group done, and commits.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the lease of any of them is lost; [`Error::Invalid`] if a savepoint is still open in it;
    /// [`Error::Database`] if the database refuses, or gives no answer: then it may have committed, which the
    /// messages' state tells, and settling them otherwise changes nothing. In all other cases it is rolled back.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn commit(mut self, held: Vec<Held>) -> Result<(), Error> {
        if PgTransactionManager::get_transaction_depth(&self.connection) != 1 {
            return Err(Error::invalid(
                "a savepoint is still open in the transaction, or it was ended by hand",
                "End what was begun within it, and leave the end of the transaction itself to the worker.",
            ));
        }
        to_the_end(async move {
            if let Err(error) = self.complete(&held).await {
                self.end(End::RollBack).await?;
                return Err(error);
            }
            self.end(End::Commit).await
        })
        .await
    }

    /// Rolls back, and gives the connection back to its pool.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if the database gives no answer; it rolls back all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn roll_back(mut self) -> Result<(), Error> {
        to_the_end(async move { self.end(End::RollBack).await }).await
    }

    async fn complete(&mut self, held: &[Held]) -> Result<(), Error> {
        let connection = &mut *self.connection;
        let work = async {
            match *held {
                // Nothing to mark; but a transaction that an error has ended must not seem to commit.
                [] => complete_many(connection, 0, held).await,
                [only] => complete(connection, only).await,
                [first, ..] => complete_many(connection, first.group_id, held).await,
            }
        };
        timeout(ANSWER, work)
            .await
            .unwrap_or_else(|_| Err(silent().into()))
    }

    async fn end(&mut self, end: End) -> Result<(), Error> {
        // `sqlx::Transaction` would do the same, but always returns its connection to the pool, where it
        // then waits for whatever a handler that was dropped has left running on it.
        let connection = &mut *self.connection;
        let work = async {
            match end {
                End::Commit => PgTransactionManager::commit(connection).await,
                End::RollBack => PgTransactionManager::rollback(connection).await,
            }
        };
        let answer = timeout(ANSWER, work).await;
        // What gave an error is not to be trusted with another transaction.
        self.ended = matches!(answer, Ok(Ok(())));
        Ok(answer.unwrap_or_else(|_| Err(silent()))?)
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Commit,
    RollBack,
}

impl Drop for WorkTransaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for WorkTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for WorkTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl fmt::Debug for WorkTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkTransaction")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Begins a transaction for a handler to write in.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end, and what it began is rolled back.
    pub async fn begin_work(&self) -> Result<WorkTransaction, Error> {
        let pool = self.pool().clone();
        to_the_end(async move {
            let mut work = WorkTransaction {
                connection: pool.acquire().await?,
                ended: false,
            };
            match timeout(ANSWER, PgTransactionManager::begin(&mut work, None)).await {
                Ok(Ok(())) => Ok(work),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(silent().into()),
            }
        })
        .await
    }
}
