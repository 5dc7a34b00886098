//! Publishing: alone, in the caller's transaction, in batches, merged, by COPY.

mod batch;
mod limits;
mod load;
mod message;
mod once;
mod publisher;

use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::types::Json;

pub use load::Loader;
pub use message::{IntoMessage, Message};
pub use once::Published;
pub use publisher::{Publisher, PublisherOptions};

use crate::client::Client;
use crate::detach::{ANSWER, answered_or};
use crate::error::Error;
use crate::interval::interval;
use crate::telemetry::Publishing;
use batch::Batch;

impl Client {
    /// Publishes one event and returns its offset: when this returns, the event is durable.
    ///
    /// Takes a `&T` of an [`Event`](crate::Event), or a [`Message`]. With a dedup id that was published
    /// before, within the window, the first event's offset is returned and nothing is appended;
    /// [`publish_once`](Self::publish_once) tells the two apart.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`]; [`Error::Invalid`] for a kind or a dedup id that is not valid, and for text that
    /// Postgres cannot store, such as a NUL character; [`Error::Encode`].
    /// After [`Error::Database`] the event may have been published all the same: with a dedup id it is
    /// safe to try again. That is also what it ends with when the database gives no answer for twenty seconds.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end: the event is published, or not, but never half.
    pub async fn publish(&self, message: impl IntoMessage) -> Result<i64, Error> {
        let mut message = message.into_message()?;
        let span = Publishing::one(self, &mut message);
        let limit = patience(std::slice::from_ref(&message));
        let call = answered_or(limit, self, move |connection| {
            Box::pin(async move { publish(connection, &message).await })
        });
        span.around(call, |offset| Some(*offset)).await
    }

    /// Publishes one event on a connection or in a transaction of yours.
    ///
    /// In a transaction, the event commits or vanishes with it, and nobody sees it before. Every event
    /// behind it in its stream waits for the end of the transaction, so keep it short.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); an error of the database aborts the transaction.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it runs on your connection.
    pub async fn publish_in<'e>(
        &self,
        executor: impl PgExecutor<'e>,
        message: impl IntoMessage,
    ) -> Result<i64, Error> {
        let mut message = message.into_message()?;
        let span = Publishing::one(self, &mut message);
        let call = publish(executor, &message);
        span.around(call, |offset| Some(*offset)).await
    }

    /// Publishes a batch of events of one stream in one statement: all of them, or none.
    /// Returns their offsets in the same order.
    ///
    /// This is the fast way to publish much: a few hundred to a few thousand events a batch. For hundreds of
    /// thousands there is [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), and [`Error::MixedStreams`].
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_many<M: IntoMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Vec<i64>, Error> {
        let mut messages = all(messages)?;
        let span = Publishing::many(self, &mut messages);
        let call = answered_or(patience(&messages), self, move |connection| {
            Box::pin(async move { Batch::of(&messages)?.publish(connection).await })
        });
        span.around(call, |_| None).await
    }

    /// Publishes a batch as [`publish_many`](Self::publish_many) does, on a connection or in a transaction of yours.
    ///
    /// # Errors
    ///
    /// As [`publish_many`](Self::publish_many); an error of the database aborts the transaction.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it runs on your connection.
    pub async fn publish_many_in<'e, M: IntoMessage>(
        &self,
        executor: impl PgExecutor<'e>,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Vec<i64>, Error> {
        let mut messages = all(messages)?;
        let span = Publishing::many(self, &mut messages);
        let call = async { Batch::of(&messages)?.publish(executor).await };
        span.around(call, |_| None).await
    }
}

/// How long the database may take to answer: a call of the engine's, and as long as a slow link takes for the payloads.
fn patience(messages: &[Message]) -> Duration {
    /// Bytes a second.
    const SLOWEST: usize = 50_000;
    let bytes: usize = messages.iter().map(|one| one.payload.get().len()).sum();
    ANSWER + Duration::from_secs(u64::try_from(bytes / SLOWEST).unwrap_or(u64::MAX))
}

fn all<M: IntoMessage>(messages: impl IntoIterator<Item = M>) -> Result<Vec<Message>, Error> {
    let messages = messages.into_iter().map(IntoMessage::into_message);
    messages.collect()
}

async fn publish<'e>(executor: impl PgExecutor<'e>, message: &Message) -> Result<i64, Error> {
    message.check()?;
    Ok(sqlx::query_scalar(include_str!("../queries/publish.sql"))
        .bind(&message.stream)
        .bind(&message.kind)
        .bind(Json(&message.payload))
        .bind(&message.key)
        .bind(message.headers.as_ref().map(Json))
        .bind(message.deliver_at)
        .bind(message.delay.map(interval))
        .bind(&message.dedup_id)
        .bind(message.dedup_window.map(interval))
        .fetch_one(executor)
        .await?)
}
