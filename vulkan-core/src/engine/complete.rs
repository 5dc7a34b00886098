use sqlx::PgExecutor;

use super::Held;
use crate::error::Error;

/// Marks a message done in a transaction of the caller's, which also holds what its handler wrote.
///
/// Both commit, or neither; and of two workers that hold the message, because a lease was lost, only
/// one can commit it.
///
/// # Errors
///
/// [`Error::Stale`] if the lease is lost: roll back.
///
/// # Cancel safety
///
/// Not cancel safe: it runs on the caller's connection.
pub async fn complete<'e>(executor: impl PgExecutor<'e>, held: Held) -> Result<(), Error> {
    sqlx::query(include_str!("../../queries/complete.sql"))
        .bind(held.group_id)
        .bind(held.offset)
        .bind(held.token)
        .bind(held.lane)
        .execute(executor)
        .await?;
    Ok(())
}

/// [`complete`] for several messages of one group: all of them are done when the transaction commits, or none is.
///
/// # Errors
///
/// [`Error::Stale`] if the lease of any of them is lost: roll back.
///
/// # Cancel safety
///
/// Not cancel safe: it runs on the caller's connection.
pub async fn complete_many<'e>(
    executor: impl PgExecutor<'e>,
    group_id: i32,
    held: &[Held],
) -> Result<(), Error> {
    sqlx::query(include_str!("../../queries/complete_many.sql"))
        .bind(group_id)
        .bind(held.iter().map(|held| held.offset).collect::<Vec<_>>())
        .bind(held.iter().map(|held| held.token).collect::<Vec<_>>())
        .bind(held.iter().map(|held| held.lane).collect::<Vec<_>>())
        .execute(executor)
        .await?;
    Ok(())
}
