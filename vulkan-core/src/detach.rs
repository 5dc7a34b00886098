use std::future::{Future, pending};

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
    match tokio::spawn(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down, and the caller's task with it.
            Err(_) => pending().await,
        },
    }
}
