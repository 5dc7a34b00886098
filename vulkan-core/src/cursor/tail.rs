use std::time::Duration;

use futures::stream::{BoxStream, StreamExt, unfold};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::event::LogEvent;
use super::page;
use crate::client::Client;
use crate::detach::answered;
use crate::error::Error;
use crate::position::{Arguments, Position};
use crate::wake::Bell;

/// How often a reader looks for itself when nobody rings.
pub(super) const POLL: Duration = Duration::from_secs(1);
/// Delays between attempts while the database is away: doubled from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Events on their way to whoever reads: a page ahead, no more.
pub(super) type Sender = mpsc::Sender<Result<LogEvent, Error>>;

impl Client {
    /// Reads a stream from a position on, in log order, and goes on waiting at its end.
    ///
    /// Every reader sees every event; nothing is claimed and nothing remembered. No event is ever
    /// skipped, however late it commits. Lost connections are waited out; any other error ends the stream.
    /// While it lasts, a connection of its own beside the pool listens for what is published.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`]; [`Error::UnknownGroup`] and [`Error::Invalid`] for the position;
    /// [`Error::Unsafe`] on a standby server.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::StreamExt;
    /// use vulkan_core::{Client, Message, Position};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = vulkan_devpg::shared().await.create_database().await?;
    /// # let client = Client::connect(&database.url()).await?;
    /// # client.migrate().await?;
    /// client.create_stream("orders").await?;
    /// client.publish(Message::new("orders", "order.placed", "first")?).await?;
    ///
    /// let mut events = client.read("orders", Position::Earliest).await?;
    /// let first = events.next().await.expect("an endless stream")?;
    /// assert_eq!(first.decode::<String>()?, "first");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read(
        &self,
        stream: &str,
        from: Position,
    ) -> Result<BoxStream<'static, Result<LogEvent, Error>>, Error> {
        let stream_id = self.stream_id(stream).await?;
        let after = self.resolve(stream, from).await?;
        let (sender, receiver) = mpsc::channel(1024);
        let client = self.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let bell = Bell::new(&client, vec![stream_id]);
            if let Err(error) = tail(&client, stream_id, after, &bell, &sender).await {
                // Nobody reads any more: nobody to tell.
                let _ = sender.send(Err(error)).await;
            }
        }));
        Ok(unfold((receiver, task), |(mut receiver, task)| async move {
            receiver.recv().await.map(|event| (event, (receiver, task)))
        })
        .boxed())
    }

    pub(super) async fn resolve(&self, stream: &str, position: Position) -> Result<i64, Error> {
        let stream = stream.to_owned();
        let arguments = Arguments::from(position);
        let resolved = answered(self, move |connection| {
            Box::pin(
                sqlx::query_scalar(include_str!("../../queries/resolve_position.sql"))
                    .bind(stream)
                    .bind(arguments.offset)
                    .bind(arguments.time)
                    .bind(arguments.position)
                    .bind(arguments.group)
                    .fetch_one(connection),
            )
        });
        Ok(resolved.await?)
    }
}

/// Sends the events of a stream until nobody reads them.
async fn tail(
    client: &Client,
    stream_id: i32,
    mut after: i64,
    bell: &Bell,
    sender: &Sender,
) -> Result<(), Error> {
    let mut listening = bell.listening();
    while !sender.is_closed() {
        match patiently(|| page::read(client, stream_id, after, None)).await? {
            Some(page) => {
                bell.disarm();
                after = page.up_to;
                for event in page.events {
                    if sender.send(Ok(event)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            None => bell.asleep(&mut listening, POLL).await,
        }
    }
    Ok(())
}

/// Tries again while the database is away.
pub(super) async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut delay = RETRY.0;
    loop {
        match call().await {
            Err(error) if error.is_transient() => {
                warn(&error);
                sleep(delay).await;
                delay = (delay * 2).min(RETRY.1);
            }
            answer => return answer,
        }
    }
}

/// Apart, since what tracing borrows here must not be held across an await.
fn warn(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "the stream cannot be read for the moment");
}
