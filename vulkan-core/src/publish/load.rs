mod copy;
mod rows;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use vulkan_names::{Subject, check_kind, check_name};

use super::message::{IntoMessage, Message};
use crate::client::Client;
use crate::detach::joined;
use crate::error::Error;
use crate::telemetry::Loading;
use copy::Part;
use rows::Rows;

/// How much is sent at once, in bytes. Twice that waits to be sent, at most, and what is being filled.
const PART: usize = 64 * 1024;

/// Appends any number of events to one stream by COPY, in one transaction, in constant memory.
///
/// Made by [`Client::loader`]; [`Client::load`] is the same for who has an iterator.
///
/// All of it is appended by [`finish`](Self::finish), or nothing: a loader that is dropped before takes back
/// what it has sent. Until then nobody sees any of it. Other publishers to the stream go on meanwhile, but
/// readers of the stream wait for events behind a load until it ends, as they do for any open transaction:
/// load in chunks, and do not leave a loader open while nothing comes. It holds one connection of the pool.
///
/// # Examples
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = vulkan_devpg::shared().await.create_database().await?;
/// # let client = vulkan_core::Client::connect(&database.url()).await?;
/// # client.migrate().await?;
/// # client.create_stream("readings").await?;
/// use vulkan_core::Message;
///
/// let mut loader = client.loader("readings").await?;
/// for n in 0..100_000 {
///     loader.push(Message::new("readings", "reading.taken", &n)?).await?;
/// }
/// assert_eq!(loader.finish().await?, 100_000);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a loader that is dropped appends nothing"]
pub struct Loader {
    stream: String,
    rows: Rows,
    /// The last kind that was found good: most loads have few.
    good: String,
    parts: mpsc::Sender<Part>,
    /// What sends them, until it was asked how it ended.
    task: Option<JoinHandle<Result<u64, Error>>>,
    trace: Loading,
}

impl Client {
    /// Appends the events of an iterator to one stream by COPY, in one transaction: all of them, or none.
    /// Returns how many.
    ///
    /// The fastest way to publish very much from one place, in constant memory: the iterator can make the events
    /// as it goes. It gives no offsets, and takes no dedup ids. The iterator runs within this call; for events that come from
    /// elsewhere asynchronously there is [`loader`](Self::loader). What a long load means for the readers of the stream,
    /// see [`Loader`].
    ///
    /// # Errors
    ///
    /// As [`publish_many`](Self::publish_many); [`Error::Name`] for a kind that is not valid; [`Error::DedupInLoad`].
    /// What only the database can refuse, such as a text with half a surrogate pair, may be told late.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it appends nothing, or, near its end, everything; its connection is put in order in the background.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate vulkan_core as vulkan;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = vulkan_devpg::shared().await.create_database().await?;
    /// # let client = vulkan_core::Client::connect(&database.url()).await?;
    /// # client.migrate().await?;
    /// # client.create_stream("orders").await?;
    /// # use vulkan_macros::Event;
    /// #[derive(serde::Serialize, Event)]
    /// #[event(stream = "orders", kind = "order.imported")]
    /// struct OrderImported {
    ///     id: u64,
    /// }
    ///
    /// let orders: Vec<_> = (0..10_000).map(|id| OrderImported { id }).collect();
    /// assert_eq!(client.load(&orders).await?, 10_000);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn load<M: IntoMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<u64, Error> {
        let mut messages = messages.into_iter();
        let Some(first) = messages.next() else {
            return Ok(0);
        };
        let first = first.into_message()?;
        let mut loader = self.loader(&first.stream).await?;
        loader.push(first).await?;
        for message in messages {
            loader.push(message).await?;
        }
        loader.finish().await
    }

    /// Begins a load into one stream.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`]; [`Error::Name`]; [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is begun then.
    pub async fn loader(&self, stream: impl Into<String>) -> Result<Loader, Error> {
        let stream = stream.into();
        check_name(Subject::Stream, &stream)?;
        let trace = Loading::begin(self, &stream);
        let (parts, to_send) = mpsc::channel(2);
        let (begun, beginning) = oneshot::channel();
        // A task of its own: whatever becomes of the loader, it ends the COPY and the transaction in order.
        let task = tokio::spawn(copy::run(
            self.pool().clone(),
            stream.clone(),
            begun,
            to_send,
        ));
        let mut loader = Loader {
            stream,
            rows: Rows::default(),
            good: String::new(),
            parts,
            task: Some(task),
            trace,
        };
        match beginning.await {
            Ok(at) => {
                loader.rows = Rows::at(at);
                Ok(loader)
            }
            Err(_) => {
                let failed = Err(loader.failure().await);
                loader.trace.end(&failed);
                failed.map(|_| loader)
            }
        }
    }
}

impl Loader {
    /// Takes one more event. While the database is behind, this waits.
    ///
    /// A delay counts from the time at which the load began, by the database's clock.
    ///
    /// # Errors
    ///
    /// [`Error::MixedStreams`], [`Error::Name`], [`Error::DedupInLoad`], [`Error::Invalid`], [`Error::Encode`]: the
    /// event is not taken, and the load can go on without it. Anything else, [`Error::Database`] above all, or
    /// what only the database can refuse, ends the load, and [`Error::LoadEnded`] is all it says from then on.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the event is not taken.
    pub async fn push(&mut self, message: impl IntoMessage) -> Result<(), Error> {
        let mut message = message.into_message()?;
        self.check(&message)?;
        if self.rows.bytes() >= PART {
            self.send().await?;
        }
        self.trace.take_along(&mut message);
        self.rows.push(&message)
    }

    /// Appends what was pushed, durably. Returns how many events that is.
    ///
    /// # Errors
    ///
    /// What the database refused: nothing is appended then. After [`Error::Database`] it may all be, if the
    /// connection was lost at the very end.
    ///
    /// # Cancel safety
    ///
    /// Dropped, all of it is appended, or nothing.
    pub async fn finish(mut self) -> Result<u64, Error> {
        let done = self.end().await;
        self.trace.end(&done);
        done
    }

    async fn end(&mut self) -> Result<u64, Error> {
        self.send().await?;
        // Where it fails, the task has ended, and says why.
        let _ = self.parts.send(Part::End).await;
        match self.task.take() {
            Some(task) => joined(task).await,
            None => Err(Error::LoadEnded),
        }
    }

    fn check(&mut self, message: &Message) -> Result<(), Error> {
        if self.stream != message.stream {
            return Err(Error::MixedStreams {
                first: self.stream.clone(),
                other: message.stream.clone(),
            });
        }
        if message.dedup_id.is_some() {
            return Err(Error::DedupInLoad {
                kind: message.kind.clone(),
            });
        }
        message.check()?;
        if self.good != message.kind {
            check_kind(&message.kind)?;
            self.good.clone_from(&message.kind);
        }
        Ok(())
    }

    /// Hands over the rows that there are.
    async fn send(&mut self) -> Result<(), Error> {
        if let Ok(place) = self.parts.reserve().await {
            place.send(Part::Rows(self.rows.take()));
            return Ok(());
        }
        Err(self.failure().await)
    }

    /// Why the task has ended that nobody told to.
    async fn failure(&mut self) -> Error {
        match self.task.take() {
            Some(task) => joined(task).await.err().unwrap_or(Error::LoadEnded),
            None => Error::LoadEnded,
        }
    }
}
