//! One Postgres for all the tests of a process.

use std::error::Error as _;

use tokio::sync::OnceCell;

use crate::{Error, FAST, Postgres};

/// The Postgres that all the tests of this process share: the server that
/// `DATABASE_URL` names, or a private cluster with the settings [`FAST`].
///
/// The first call starts it. Each test takes a
/// [database of its own](Postgres::create_database).
///
/// # Panics
///
/// When there is no Postgres to be had, with the message of the [`Error`]: a test has
/// nothing better to do with it.
///
/// # Cancel safety
///
/// Cancelled, it leaves the start to the next caller.
pub async fn shared() -> &'static Postgres {
    // Statics are never dropped; the cluster goes because the process does.
    static SHARED: OnceCell<Result<Postgres, Error>> = OnceCell::const_new();
    let started = SHARED.get_or_init(|| Postgres::start_with(FAST));
    match started.await {
        Ok(postgres) => postgres,
        Err(error) => match error.source() {
            Some(cause) => panic!("no Postgres for the tests: {error}: {cause}"),
            None => panic!("no Postgres for the tests: {error}"),
        },
    }
}
