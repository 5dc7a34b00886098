use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use sqlx::PgExecutor;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use vulkan_names::Start;

use super::event::LogEvent;
use super::page;
use super::seat::{Seat, Tenure};
use super::tail::{POLL, Sender, patiently};
use crate::client::Client;
use crate::error::{Error, Refusal};
use crate::group::{GroupOptions, Mode};
use crate::wake::Bell;

/// How often the active reader renews its lease.
const RENEW: Duration = Duration::from_secs(3);

/// A bare cursor: a reading position that its group remembers, committed by hand.
///
/// Of all the readers of a group, in whatever process, one is active; the others stand by, and one
/// of them takes over when the active one is closed or its lease runs out, from the position that
/// was committed last. An event handled but not committed is then read again.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use vulkan_core::{Client, Message, Start};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = vulkan_devpg::shared().await.create_database().await?;
/// # let client = Client::connect(&database.url()).await?;
/// # client.migrate().await?;
/// client.create_stream("orders").await?;
/// client.publish(Message::new("orders", "order.placed", "first")?).await?;
///
/// let reader = client.reader("orders", "search-index", Start::Earliest).await?;
/// let mut events = reader.events();
/// while let Some(event) = events.next().await {
///     let event = event?;
///     // … index it, and once that is safe:
///     reader.commit(event.offset()).await?;
/// #   break;
/// }
/// drop(events);
/// reader.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a reader reads nothing until it is asked for its events"]
pub struct Reader {
    client: Client,
    stream_id: i32,
    seat: Arc<Seat>,
}

impl Client {
    /// A reader of a cursor group, which is made if it does not exist.
    ///
    /// `start` counts only when the group is made. To read only some kinds, or with another lease than
    /// half a minute, make the group with [`ensure_group`](Self::ensure_group) first.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`]; [`Error::Name`] if the group's name is not valid. That the group is not
    /// a cursor group is told by its [`events`](Reader::events), as [`Error::UnknownGroup`].
    pub async fn reader(&self, stream: &str, group: &str, start: Start) -> Result<Reader, Error> {
        let options = GroupOptions {
            mode: Mode::Cursor,
            start,
            ..GroupOptions::default()
        };
        let group_id = self.ensure_group(stream, group, options).await?;
        Ok(Reader {
            client: self.clone(),
            stream_id: self.stream_id(stream).await?,
            seat: Arc::new(Seat::new(self.clone(), group_id)),
        })
    }
}

impl Reader {
    /// The events above the committed position, in log order, from the moment this reader is active.
    ///
    /// Until then the stream waits. It ends with [`Error::Superseded`] when another reader has taken
    /// over, or an operator has set the group to another position: ask for the events anew to stand
    /// by. It ends without an error when the reader is closed. Lost connections are waited out.
    ///
    /// While it lasts, a connection of its own beside the pool listens for what is published.
    pub fn events(&self) -> ReaderEvents {
        let (sender, receiver) = mpsc::channel(1024);
        let source = Source {
            client: self.client.clone(),
            stream_id: self.stream_id,
            seat: Arc::clone(&self.seat),
        };
        ReaderEvents {
            receiver,
            _task: AbortOnDropHandle::new(tokio::spawn(source.run(sender))),
        }
    }

    /// Commits the position: this event and all before it are read. Returns the committed position,
    /// which never moves back.
    ///
    /// # Errors
    ///
    /// [`Error::Superseded`] if another reader has taken over, or this one was not active yet: nothing was
    /// committed. [`Error::Invalid`] for an offset that no event can have yet.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn commit(&self, offset: i64) -> Result<i64, Error> {
        self.seat.commit(offset).await
    }

    /// Commits the position in a transaction of yours: with what was made of the events, or not at all.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit); the transaction is aborted then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it runs on your connection.
    pub async fn commit_in<'e>(
        &self,
        executor: impl PgExecutor<'e>,
        offset: i64,
    ) -> Result<i64, Error> {
        self.seat.commit_in(executor, offset).await
    }

    /// Gives the reading up and ends its events, so that a standby takes over within about a second. A
    /// reader that is only dropped is missed when its lease runs out.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; the lease then runs out by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn close(self) -> Result<(), Error> {
        self.seat.close().await
    }
}

/// The events of a [`Reader`], a `Stream`. Dropping it stops the reading; the lease runs on until
/// the reader is closed, or the lease runs out.
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct ReaderEvents {
    receiver: mpsc::Receiver<Result<LogEvent, Error>>,
    _task: AbortOnDropHandle<()>,
}

impl Stream for ReaderEvents {
    type Item = Result<LogEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}

/// The task behind the events of a reader.
struct Source {
    client: Client,
    stream_id: i32,
    seat: Arc<Seat>,
}

impl Source {
    async fn run(self, sender: Sender) {
        let read = tokio::select! {
            // Safe to leave off: every database call in there runs to its end in a task of its own.
            read = self.read(&sender) => read,
            () = self.seat.closed() => return,
        };
        if let Err(error) = read {
            // Nobody reads any more: nobody to tell.
            let _ = sender.send(Err(error)).await;
        }
    }

    async fn read(&self, sender: &Sender) -> Result<(), Error> {
        let bell = Bell::new(&self.client, vec![self.stream_id]);
        let mut listening = bell.listening();
        let Tenure { term, mut cursor } = loop {
            match patiently(|| self.seat.take()).await? {
                Some(tenure) => break tenure,
                None => sleep(POLL).await,
            }
        };
        self.seat.enter(term);
        let group_id = Some(self.seat.group_id());
        let mut renewed = Instant::now();
        while !sender.is_closed() {
            self.renew(term, &mut renewed).await?;
            let page =
                patiently(|| page::read(&self.client, self.stream_id, cursor, group_id)).await?;
            let Some(page) = page else {
                bell.asleep(&mut listening, POLL).await;
                continue;
            };
            bell.disarm();
            self.seat.saw(page.up_to);
            for event in page.events {
                // A slow reader is active all the same: its lease is renewed while it makes room.
                let room = loop {
                    self.renew(term, &mut renewed).await?;
                    match timeout(RENEW, sender.reserve()).await {
                        Ok(Ok(room)) => break room,
                        Ok(Err(_)) => return Ok(()),
                        Err(_) => {}
                    }
                };
                room.send(Ok(event));
            }
            cursor = page.up_to;
        }
        Ok(())
    }

    async fn renew(&self, term: i64, renewed: &mut Instant) -> Result<(), Error> {
        if renewed.elapsed() < RENEW {
            return Ok(());
        }
        match patiently(|| self.seat.take()).await? {
            Some(tenure) if tenure.term == term => {
                *renewed = Instant::now();
                return Ok(());
            }
            // Fenced by an operator, and active again under a new term that nobody here uses.
            Some(tenure) => {
                let _ = self.seat.release(tenure.term).await;
            }
            None => {}
        }
        Err(Error::Superseded(Refusal {
            message: "another reader is active, or the group was set to another position".into(),
            hint: Some("ask for the events anew to stand by".into()),
        }))
    }
}
