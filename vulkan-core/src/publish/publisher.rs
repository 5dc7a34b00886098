mod batcher;
mod lot;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vulkan_names::{Subject, check_kind, check_name};

use super::message::{IntoMessage, Message};
use crate::client::Client;
use crate::error::Error;
use crate::telemetry::Publishing;
use batcher::Batcher;

/// Publishes single events of many tasks in batches, while each caller waits for its own answer.
///
/// One statement and one commit then serve hundreds of events. Nothing waits for others to come: while
/// nobody else publishes, an event goes at once; what arrives while a batch is under way forms the next.
/// An event that is refused fails its own caller alone.
///
/// Events that one task publishes one after the other, each awaited, have growing offsets. Those of
/// different tasks have no order, as ever.
///
/// Cheap to clone; the clones share its queue. When the last is dropped, what is queued is still sent.
///
/// # Examples
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = vulkan_devpg::shared().await.create_database().await?;
/// # let client = vulkan_core::Client::connect(&database.url()).await?;
/// # client.migrate().await?;
/// # client.create_stream("clicks").await?;
/// use vulkan_core::Message;
///
/// let publisher = client.publisher();
/// let mut tasks = tokio::task::JoinSet::new();
/// for n in 0..100 {
///     let publisher = publisher.clone();
///     tasks.spawn(async move { publisher.publish(Message::new("clicks", "click", &n)?).await });
/// }
/// for offset in tasks.join_all().await {
///     println!("durable at {}", offset?);
/// }
/// publisher.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a publisher does nothing until something is published"]
pub struct Publisher {
    client: Client,
    queue: mpsc::Sender<Waiting>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// How a [`Publisher`] merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublisherOptions {
    /// The most events in one batch. 500, unless set.
    pub batch: usize,
    /// The most batches under way at once, each on a connection of the pool. 2, unless set: more make the
    /// batches smaller.
    pub in_flight: usize,
    /// The most events that wait to be sent; who publishes more waits for room. 10,000, unless set.
    pub queue: usize,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            batch: 500,
            in_flight: 2,
            queue: 10_000,
        }
    }
}

/// An event in the queue, and who waits for it.
#[derive(Debug)]
struct Waiting {
    message: Message,
    answer: oneshot::Sender<Result<i64, Error>>,
}

impl Client {
    /// A publisher that merges the single publishes of many tasks into batches.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn publisher(&self) -> Publisher {
        self.publisher_with(PublisherOptions::default())
    }

    /// The same with other limits. Each counts as at least one.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn publisher_with(&self, options: PublisherOptions) -> Publisher {
        let (queue, waiting) = mpsc::channel(options.queue.clamp(1, Semaphore::MAX_PERMITS));
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let batcher = Batcher::new(
            self.clone(),
            waiting,
            options,
            closing.clone(),
            tasks.clone(),
        );
        tasks.spawn(batcher.run());
        Publisher {
            client: self.clone(),
            queue,
            closing,
            tasks,
        }
    }
}

impl Publisher {
    /// Publishes one event and returns its offset: when this returns, the event is durable.
    ///
    /// With a dedup id that was published before, within the window, it is the first event's offset.
    /// While the queue is full, this waits.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`]; [`Error::Batch`] if the database was lost in the middle, or gave no answer for 20
    /// seconds, after which the event may have been published all the same; [`Error::PublisherClosed`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the event is published, or not, but never half: not if it had yet to find room in the
    /// queue.
    pub async fn publish(&self, message: impl IntoMessage) -> Result<i64, Error> {
        let mut message = message.into_message()?;
        check_name(Subject::Stream, &message.stream)?;
        check_kind(&message.kind)?;
        message.check()?;
        let span = Publishing::one(&self.client, &mut message);
        let call = async {
            let (answer, answered) = oneshot::channel();
            let waiting = Waiting { message, answer };
            if self.queue.send(waiting).await.is_err() {
                return Err(Error::PublisherClosed);
            }
            match answered.await {
                Ok(answer) => answer,
                // Its task is gone without an answer: the runtime is shutting down, and this task with it.
                Err(_) => std::future::pending().await,
            }
        };
        span.around(call, |offset| Some(*offset)).await
    }

    /// Takes no more events, from this clone or another, and returns when all that it took are sent.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is queued is sent all the same.
    pub async fn close(self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
