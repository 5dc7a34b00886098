use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::oneshot;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::Waiting;
use crate::client::Client;
use crate::detach::silent;
use crate::error::Error;
use crate::publish::batch::Batch;
use crate::publish::message::Message;
use crate::publish::{patience, publish};

/// Publishes what goes in one batch, and answers everybody.
pub(super) async fn send(client: &Client, lot: Vec<Waiting>) {
    let (messages, answers): (Vec<Message>, Vec<_>) = lot
        .into_iter()
        .map(|waiting| (waiting.message, waiting.answer))
        .unzip();
    let publish = async {
        let batch = Batch::of(&messages)?;
        let mut connection = client.pool().acquire().await?;
        let published = timeout(patience(&messages), batch.publish(&mut *connection)).await;
        in_time(&mut connection, published)
    };
    // Should it panic, nobody is left without an answer.
    let published = AssertUnwindSafe(publish).catch_unwind().await;
    match published.unwrap_or(Err(Error::Database(sqlx::Error::WorkerCrashed))) {
        Ok(offsets) => {
            for (answer, offset) in answers.into_iter().zip(offsets) {
                tell(answer, Ok(offset));
            }
        }
        Err(error) => match <[_; 1]>::try_from(answers) {
            Ok([answer]) => tell(answer, Err(error)),
            Err(answers) if was_refused(&error) => singly(client, &messages, answers).await,
            Err(answers) => share(error, answers),
        },
    }
}

/// Publishes one by one what was refused as a batch: only who is to blame shall fail.
async fn singly(
    client: &Client,
    messages: &[Message],
    answers: Vec<oneshot::Sender<Result<i64, Error>>>,
) {
    let mut answers = answers.into_iter();
    for message in messages {
        let published = alone(client, message).await;
        let Some(answer) = answers.next() else {
            return;
        };
        match published {
            // The database is gone: the others need not find out one by one.
            Err(error) if !was_refused(&error) => {
                return share(error, [answer].into_iter().chain(answers));
            }
            published => tell(answer, published),
        }
    }
}

async fn alone(client: &Client, message: &Message) -> Result<i64, Error> {
    let mut connection = client.pool().acquire().await?;
    let limit = patience(std::slice::from_ref(message));
    let published = timeout(limit, publish(&mut *connection, message)).await;
    in_time(&mut connection, published)
}

/// Throws a connection away that gave no answer: others wait for the place of this batch, and would else until the
/// kernel gives the connection up.
fn in_time<T>(
    connection: &mut PoolConnection<Postgres>,
    published: Result<Result<T, Error>, Elapsed>,
) -> Result<T, Error> {
    published.unwrap_or_else(|_| {
        connection.close_on_drop();
        Err(silent().into())
    })
}

fn share(error: Error, answers: impl IntoIterator<Item = oneshot::Sender<Result<i64, Error>>>) {
    let error = Arc::new(error);
    for answer in answers {
        tell(answer, Err(Error::Batch(Arc::clone(&error))));
    }
}

/// Who dropped its call does not want to know.
fn tell(answer: oneshot::Sender<Result<i64, Error>>, published: Result<i64, Error>) {
    let _ = answer.send(published);
}

/// Whether it is certain that nothing was published, and worth another try of each alone.
fn was_refused(error: &Error) -> bool {
    match error {
        Error::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
            // The connection, the server's resources, its end and its own faults: not for what was published.
            !["08", "53", "57", "58", "XX"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        Error::Database(error) => matches!(error, sqlx::Error::Encode(_)),
        _ => true,
    }
}
