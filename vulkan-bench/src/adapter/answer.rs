use std::io;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

/// How long the database may take to answer. Behind a half-open socket a call would else wait until the kernel gives up, a
/// quarter of an hour.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Throws a connection away that has given no answer in that time.
pub(super) fn given_up(connection: PoolConnection<Postgres>) -> sqlx::Error {
    drop(connection.detach());
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        "the database gives no answer",
    ))
}
