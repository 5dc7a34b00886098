use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sqlx::PgExecutor;
use tokio_util::sync::CancellationToken;
use vulkan_core::Event;
use vulkan_core::engine::{self, Held};

use super::cancellation::Cancellation;
use super::checkpoint::{self, CheckpointError, Checkpoints};
use super::decode::{self, DecodeError};
use super::delivery_builder::DeliveryBuilder;
use super::tx::Tx;
use super::tx_slot::{TxError, TxSlot};

/// One event on its way to one group: what a handler may know of it besides the payload.
///
/// A handler asks for it with an argument of type `&Delivery`.
/// In a test, [`Delivery::of`] makes one to call the handler with.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Delivery, Result};
///
/// async fn screen(order: u64, cx: &Delivery) -> Result {
///     if cx.attempt() == cx.max_attempts() {
///         println!("last chance for order {order}");
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> vulkan_worker::Result {
/// let delivery = Delivery::builder_json(&42)?.attempt(6).max_attempts(6).build();
/// screen(delivery.decode()?, &delivery).await?;
/// # Ok(()) }
/// ```
pub struct Delivery {
    pub(crate) stream: Arc<str>,
    pub(crate) group: Arc<str>,
    pub(crate) offset: i64,
    pub(crate) kind: String,
    pub(crate) key: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) headers: Map<String, Value>,
    pub(crate) published_at: DateTime<Utc>,
    pub(crate) payload: Box<RawValue>,
    pub(crate) cancellation: Cancellation,
    /// What marks it done; a delivery made in a test has none.
    pub(crate) held: Option<Held>,
    /// The transaction of its handler.
    pub(crate) tx: Arc<TxSlot>,
    pub(crate) checkpoints: Checkpoints,
}

impl Delivery {
    /// Begins a delivery of a payload that is JSON text already.
    ///
    /// [`DeliveryBuilder`] says what the other fields are unless they are set.
    pub fn builder(payload: Box<RawValue>) -> DeliveryBuilder {
        DeliveryBuilder::new(payload)
    }

    /// Begins a delivery of anything that serializes.
    ///
    /// # Errors
    ///
    /// If `payload` cannot be written as JSON.
    pub fn builder_json<T: Serialize + ?Sized>(payload: &T) -> serde_json::Result<DeliveryBuilder> {
        serde_json::value::to_raw_value(payload).map(Self::builder)
    }

    /// Begins a delivery of an event, with the stream, kind and key that the event has.
    ///
    /// # Errors
    ///
    /// If the event cannot be written as JSON.
    pub fn of<E: Event>(event: &E) -> serde_json::Result<DeliveryBuilder> {
        let builder = Self::builder_json(event)?.stream(E::STREAM).kind(E::KIND);
        Ok(match event.partition_key() {
            Some(key) => builder.key(key),
            None => builder,
        })
    }

    /// The stream the event was published to.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The group this delivery belongs to.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The position of the event in its stream.
    ///
    /// Together with the stream it identifies the event,
    /// also across repeated deliveries, and so makes a good idempotency key.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// What happened, such as `order.placed`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The partition key, if the event has one.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Which attempt this is. The first is 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The attempt after which an error leaves the delivery dead: one more than the retries.
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// What the publisher sent along beside the payload, such as its trace context.
    pub fn headers(&self) -> &Map<String, Value> {
        &self.headers
    }

    /// One header, if it is there and a string.
    ///
    /// Names are compared exactly: `traceparent` is not `Traceparent`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.as_str()
    }

    /// When the event was published, by the clock of the database.
    pub fn published_at(&self) -> DateTime<Utc> {
        self.published_at
    }

    /// The payload as JSON text.
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// Reads the payload as a `T`, which may borrow from it.
    ///
    /// # Errors
    ///
    /// If the payload is no `T`; the error names the path of the field that does not fit.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        decode::decode(&self.payload)
    }

    /// What an earlier attempt saved with [`save_checkpoint`](Self::save_checkpoint), if one did: in this process or
    /// another, before a crash, a failure or a redrive. A replay begins without.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]: the database does not answer, or what was saved is no `T`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_worker::{Delivery, Result};
    ///
    /// async fn import(files: Vec<String>, cx: &Delivery) -> Result {
    ///     let done: usize = cx.checkpoint().await?.unwrap_or(0);
    ///     for (nth, file) in files.iter().enumerate().skip(done) {
    ///         println!("{file}");
    ///         cx.save_checkpoint(&(nth + 1)).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> vulkan_worker::Result {
    /// // In a test the delivery keeps it, and can begin with one.
    /// let files = ["a.csv", "b.csv"];
    /// let delivery = Delivery::builder_json(&files)?.checkpoint(&1)?.build();
    /// import(delivery.decode()?, &delivery).await?;
    /// assert_eq!(delivery.checkpoint().await?, Some(2));
    /// # Ok(()) }
    /// ```
    pub async fn checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, CheckpointError> {
        self.checkpoints.read().await
    }

    /// Saves how far the handler came, for the attempt after this one, in place of what was saved before. It is durable when
    /// this returns, whatever becomes of the attempt, and of a [`Tx`], too. At most a megabyte of JSON.
    ///
    /// Who has lost the lease saves nothing: the next attempt goes on from what it found.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn save_checkpoint<T: Serialize + ?Sized>(
        &self,
        value: &T,
    ) -> Result<(), CheckpointError> {
        let value = checkpoint::encode(value)?;
        self.checkpoints.save(&value).await
    }

    /// Begins the transaction that also marks the message done, as an argument of type [`Tx`] does before the handler.
    ///
    /// # Errors
    ///
    /// [`TxError`]: it is the second one, or cannot begin.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn tx(&self) -> super::Result<Tx> {
        Ok(self.tx.begin().await?)
    }

    /// Commits the transaction of the handler, the message marked done in it, as the worker does after `Ok(())`.
    ///
    /// It is for tests and for workers of one's own; a handler that calls it is done early, whatever it
    /// returns later. Without a transaction there is nothing to do.
    ///
    /// # Errors
    ///
    /// [`TxError`]: the [`Tx`] is still in use, the lease is lost, or the database does not commit.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn commit(&self) -> Result<(), TxError> {
        self.tx.commit(self.held).await
    }

    /// Marks the message done in a transaction of yours, on this database, which also holds what the
    /// handler writes: both commit, or neither. [`Tx`] does the same with less to write and less to get wrong: this is for
    /// handlers that need the transaction's end to themselves, or another client.
    ///
    /// Call it last, shortly before the commit, then return `Ok(())`. Begin the transaction with
    /// [`Client::begin`](vulkan_core::Client::begin), which is cancel safe. A delivery that was made in
    /// a test has nothing to mark: it succeeds and does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`](vulkan_core::Error::Stale) if the lease is lost: somebody else handles the
    /// message, or has. Return the error; the transaction is rolled back when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe by itself, but dropped together with its transaction, as a handler is, it is rolled back.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_core::Client;
    /// use vulkan_worker::{Delivery, Result};
    ///
    /// async fn add_up(amount: i64, cx: &Delivery, client: &Client) -> Result {
    ///     let mut tx = client.begin().await?;
    ///     sqlx::query("UPDATE totals SET amount = amount + $1")
    ///         .bind(amount)
    ///         .execute(&mut *tx)
    ///         .await?;
    ///     cx.complete_in(&mut *tx).await?;
    ///     tx.commit().await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn complete_in<'e>(
        &self,
        executor: impl PgExecutor<'e>,
    ) -> Result<(), vulkan_core::Error> {
        match self.held {
            Some(held) => engine::complete(executor, held).await,
            None => Ok(()),
        }
    }

    /// The same delivery once more, for a batch of its own.
    pub(super) fn twin(&self) -> Self {
        Self {
            stream: Arc::clone(&self.stream),
            group: Arc::clone(&self.group),
            offset: self.offset,
            kind: self.kind.clone(),
            key: self.key.clone(),
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            headers: self.headers.clone(),
            published_at: self.published_at,
            payload: self.payload.clone(),
            cancellation: self.cancellation.token().clone().into(),
            held: self.held,
            tx: Arc::clone(&self.tx),
            checkpoints: self.checkpoints.clone(),
        }
    }

    /// Waits until the worker wants this delivery to end,
    /// because it shuts down, has lost the lease, or was told that the message is cancelled.
    ///
    /// A handler that takes long can then stop early and return an error, which spends the attempt,
    /// or [`HandlerError::snooze`](crate::HandlerError::snooze), which does not. A message that was
    /// [cancelled](vulkan_core::Client::cancel) is dead then, whatever the error.
    ///
    /// One that pays no heed is dropped: when the grace period is over, with no attempt spent; a second
    /// after the lease was lost; at the end of the [notice](crate::WorkerBuilder::notice), if the message
    /// was cancelled. It is told as [`WorkerEvent::CancellationIgnored`](crate::WorkerEvent::CancellationIgnored),
    /// and counted in `vulkan.workers`. After a timeout the handler is dropped at once; only tasks of its own
    /// can still hear of it, by the token.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, and therefore fit for `tokio::select!`.
    pub async fn cancelled(&self) {
        self.cancellation.token().cancelled().await;
    }

    /// The token behind [`cancelled`](Self::cancelled), to hand to tasks of your own.
    pub fn cancellation_token(&self) -> &CancellationToken {
        self.cancellation.token()
    }
}

/// Shows where the delivery stands and leaves out the payload and headers,
/// which may hold what no log should.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("stream", &self.stream)
            .field("group", &self.group)
            .field("offset", &self.offset)
            .field("kind", &self.kind)
            .field("attempt", &self.attempt)
            .field("max_attempts", &self.max_attempts)
            .field("published_at", &self.published_at)
            .finish_non_exhaustive()
    }
}
