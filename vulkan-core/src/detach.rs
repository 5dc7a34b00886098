use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::Client;

/// How long the engine may take to answer one call. Its calls are short; a connection that gives no
/// answer for so long is dead, whatever the socket says.
pub(crate) const ANSWER: Duration = Duration::from_secs(20);

/// Runs a database call to its end in a task of its own, whatever becomes of the caller.
///
/// A future dropped in the middle of a database call can leave its connection in a transaction
/// that the pool then hands on (<https://github.com/launchbadge/sqlx/issues/4393>). A dropped caller
/// only stops waiting here; so every method built on this is cancel safe in that sense.
pub(crate) async fn to_the_end<T, F>(work: F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    joined(tokio::spawn(work)).await
}

/// What a task of ours comes to.
pub(crate) async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down, and the caller's task with it.
            Err(_) => pending().await,
        },
    }
}

/// Runs a call of the engine to its end, on a connection that is thrown away when it gives no answer:
/// behind a half-open socket a call would else wait until the kernel gives up, a quarter of an hour.
pub(crate) async fn answered<T, W>(client: &Client, work: W) -> sqlx::Result<T>
where
    W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    answered_within(ANSWER, client, work).await
}

/// The same for a call that is to take no longer than this.
pub(crate) async fn answered_within<T, W>(
    limit: Duration,
    client: &Client,
    work: W,
) -> sqlx::Result<T>
where
    W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let (pool, warm) = (client.pool().clone(), client.warm.clone());
    to_the_end(async move {
        let mut kept = warm.acquire(&pool).await?;
        match timeout(limit, work(&mut kept.connection)).await {
            Ok(Ok(answer)) => {
                warm.put_back(&pool, kept);
                Ok(answer)
            }
            // Its pool sees whether it is still good.
            Ok(Err(error)) => Err(error),
            Err(_) => {
                kept.connection.close_on_drop();
                Err(silent())
            }
        }
    })
    .await
}

/// The error of a connection that gives no answer.
pub(crate) fn silent() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        "the database gives no answer",
    ))
}
