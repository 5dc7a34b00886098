use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use sqlx::PgExecutor;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;
use vulkan_names::Start;

use super::event::LogEvent;
use super::page;
use super::tail::{POLL, RETRY, Sender};
use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;
use crate::group::{GroupOptions, Mode};
use crate::wake::Bell;

/// How often the active reader renews its lease, and a standby asks for it.
const RENEW: Duration = Duration::from_secs(3);

/// A bare cursor: a reading position that its group remembers, committed by hand.
///
/// Of all the readers of a group, in whatever process, one is active; the others stand by, and one
/// of them takes over within the group's lease when the active one is gone, from the position that
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
pub struct Reader {
    client: Client,
    name: String,
    group_id: i32,
    stream_id: i32,
    /// The term under which this reader is active, or was last. 0: never yet.
    term: Arc<AtomicI64>,
}

impl Client {
    /// A reader of a cursor group, which is made if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`]; [`Error::Name`] if the group's name is not valid.
    pub async fn reader(&self, stream: &str, group: &str, start: Start) -> Result<Reader, Error> {
        let options = GroupOptions {
            mode: Mode::Cursor,
            start,
            ..GroupOptions::default()
        };
        Ok(Reader {
            client: self.clone(),
            name: Uuid::new_v4().to_string(),
            group_id: self.ensure_group(stream, group, options).await?,
            stream_id: self.stream_id(stream).await?,
            term: Arc::default(),
        })
    }
}

impl Reader {
    /// The events above the committed position, in log order, from the moment this reader is active.
    ///
    /// Until then the stream waits. It ends with [`Error::Superseded`] when another reader has taken
    /// over, or an operator has set the group to another position: ask for the events anew to stand
    /// by. Lost connections are waited out.
    pub fn events(&self) -> ReaderEvents {
        let (sender, receiver) = mpsc::channel(1024);
        let source = Source {
            client: self.client.clone(),
            name: self.name.clone(),
            group_id: self.group_id,
            stream_id: self.stream_id,
            term: Arc::clone(&self.term),
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
    /// [`Error::Superseded`] if another reader has taken over: nothing was committed.
    pub async fn commit(&self, offset: i64) -> Result<i64, Error> {
        let (pool, group_id, term) = (self.client.pool().clone(), self.group_id, self.term());
        to_the_end(async move { commit(&pool, group_id, term, offset).await }).await
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
        commit(executor, self.group_id, self.term(), offset).await
    }

    /// Gives the reading up, so that a standby takes over at once. A reader that is only dropped is
    /// missed when its lease runs out.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; the lease then runs out by itself.
    pub async fn close(self) -> Result<(), Error> {
        let (pool, group_id, term) = (self.client.pool().clone(), self.group_id, self.term());
        to_the_end(async move {
            sqlx::query(include_str!("../../queries/release_cursor.sql"))
                .bind(group_id)
                .bind(term)
                .execute(&pool)
                .await?;
            Ok(())
        })
        .await
    }

    fn term(&self) -> i64 {
        self.term.load(Ordering::Acquire)
    }
}

async fn commit<'e>(
    executor: impl PgExecutor<'e>,
    group_id: i32,
    term: i64,
    offset: i64,
) -> Result<i64, Error> {
    Ok(
        sqlx::query_scalar(include_str!("../../queries/commit_cursor.sql"))
            .bind(group_id)
            .bind(term)
            .bind(offset)
            .fetch_one(executor)
            .await?,
    )
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
    name: String,
    group_id: i32,
    stream_id: i32,
    term: Arc<AtomicI64>,
}

impl Source {
    async fn run(self, sender: Sender) {
        if let Err(error) = self.read(&sender).await {
            // Nobody reads any more: nobody to tell.
            let _ = sender.send(Err(error)).await;
        }
    }

    async fn read(&self, sender: &Sender) -> Result<(), Error> {
        let bell = Bell::new(&self.client, vec![self.stream_id]);
        let (term, mut after) = loop {
            if let Some(active) = self.patiently(|| self.take()).await? {
                break active;
            }
            sleep(RENEW).await;
        };
        self.term.store(term, Ordering::Release);
        let mut renewed = Instant::now();
        while !sender.is_closed() {
            self.renew(term, &mut renewed).await?;
            let page = self
                .patiently(|| page::read(&self.client, self.stream_id, after, Some(self.group_id)))
                .await?;
            let Some(page) = page else {
                bell.arm();
                let _ = timeout(POLL, bell.rung()).await;
                continue;
            };
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
            after = page.up_to;
        }
        Ok(())
    }

    async fn renew(&self, term: i64, renewed: &mut Instant) -> Result<(), Error> {
        if renewed.elapsed() < RENEW {
            return Ok(());
        }
        match self.patiently(|| self.take()).await? {
            Some((standing, _)) if standing == term => {
                *renewed = Instant::now();
                Ok(())
            }
            _ => Err(Error::Superseded(crate::error::Refusal {
                message: "another reader is active, or the group was set to another position"
                    .into(),
                hint: Some("ask for the events anew to stand by".into()),
            })),
        }
    }

    /// The term and the committed position, if this reader is the active one.
    async fn take(&self) -> Result<Option<(i64, i64)>, Error> {
        let (pool, group_id, name) = (self.client.pool().clone(), self.group_id, self.name.clone());
        to_the_end(async move {
            Ok(
                sqlx::query_as(include_str!("../../queries/take_cursor.sql"))
                    .bind(group_id)
                    .bind(name)
                    .fetch_optional(&pool)
                    .await?,
            )
        })
        .await
    }

    /// Tries again while the database is away.
    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut delay = RETRY.0;
        loop {
            match call().await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "the stream cannot be read for the moment");
                    sleep(delay).await;
                    delay = (delay * 2).min(RETRY.1);
                }
                answer => return answer,
            }
        }
    }
}
