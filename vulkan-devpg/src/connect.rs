//! Connections for upkeep.

use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::address::Address;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Connects, for up to `patience` while the server is still coming up.
///
/// One connection, never a pool: a pool belongs to one runtime, and each test
/// has its own.
pub(crate) async fn connect(address: &Address, patience: Duration) -> Result<PgConnection, Error> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        match address.options().connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) if may_pass(&error) && Instant::now() + pause < deadline => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(source) => {
                return Err(Error::Connect {
                    server: address.to_string(),
                    source,
                });
            }
        }
    }
}

/// Whether waiting can help.
fn may_pass(error: &sqlx::Error) -> bool {
    // cannot_connect_now while starting or recovering, too_many_connections.
    const COMING_UP: [&str; 2] = ["57P03", "53300"];
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| COMING_UP.contains(&&*code))
        }
        _ => false,
    }
}
