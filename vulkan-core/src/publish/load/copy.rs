use chrono::{DateTime, Utc};
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::rows::{HEADER, TRAILER};
use crate::detach::ANSWER;
use crate::error::Error;

/// How much goes into one COPY, in bytes. Postgres says at its end what it did not like, and gives all
/// of its rows one `created_at`: both are to be no more than some moments old.
const ONE_COPY: usize = 32 * 1024 * 1024;

/// What a loader hands over.
pub(super) enum Part {
    /// Whole rows, as COPY reads them.
    Rows(Vec<u8>),
    /// That was all. Without it, nothing of it counts.
    End,
}

/// A load from its BEGIN to its COMMIT. `begun` is told the database's time.
pub(super) async fn run(
    pool: PgPool,
    stream: String,
    begun: oneshot::Sender<DateTime<Utc>>,
    mut parts: mpsc::Receiver<Part>,
) -> Result<u64, Error> {
    let mut connection = pool.acquire().await?;
    let loaded = transact(&mut connection, &stream, begun, &mut parts).await;
    if loaded.is_err() {
        // It may still be in the middle of something.
        connection.close_on_drop();
    }
    loaded
}

async fn transact(
    connection: &mut PgConnection,
    stream: &str,
    begun: oneshot::Sender<DateTime<Utc>>,
    parts: &mut mpsc::Receiver<Part>,
) -> Result<u64, Error> {
    let mut tx = connection.begin().await?;
    let copied = match begin(&mut tx, stream).await {
        // Where nobody waits for it any more, no parts come either.
        Ok((events, at)) => {
            let _ = begun.send(at);
            copy(&mut tx, &events, parts).await
        }
        Err(error) => Err(error),
    };
    match copied {
        Ok(Some(rows)) => {
            tx.commit().await?;
            Ok(rows)
        }
        Ok(None) => {
            tx.rollback().await?;
            Ok(0)
        }
        Err(error) => {
            // So that nothing is held any more when the error is told, if the connection still works.
            let _ = timeout(ANSWER, tx.rollback()).await;
            Err(error)
        }
    }
}

async fn begin(
    connection: &mut PgConnection,
    stream: &str,
) -> Result<(String, DateTime<Utc>), Error> {
    let begin = sqlx::query_as(include_str!("../../../queries/begin_load.sql"));
    Ok(begin.bind(stream).fetch_one(connection).await?)
}

/// Copies what comes; `None` if the end did not.
async fn copy(
    connection: &mut PgConnection,
    events: &str,
    parts: &mut mpsc::Receiver<Part>,
) -> Result<Option<u64>, Error> {
    let statement = include_str!("../../../queries/load.sql").replace("{events}", events);
    let mut rows = 0;
    loop {
        // The next one begins at once: a session that waits for a slow program within a COPY is not idle.
        let mut copy = connection.copy_in_raw(&statement).await?;
        copy.send(HEADER).await?;
        let mut bytes = 0;
        let end = loop {
            match parts.recv().await {
                Some(Part::Rows(part)) => {
                    bytes += part.len();
                    copy.send(part).await?;
                    if bytes >= ONE_COPY {
                        break false;
                    }
                }
                Some(Part::End) => break true,
                None => {
                    copy.abort("the load was given up").await?;
                    return Ok(None);
                }
            }
        };
        copy.send(TRAILER).await?;
        rows += copy.finish().await?;
        if end {
            return Ok(Some(rows));
        }
    }
}
