//! A producer and workers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use vulkan::Client;

use crate::Result;
use crate::order::Order;
use crate::worker::Crew;

const BATCH: u64 = 500;
/// A producer that is not paced stays no further ahead of the workers.
const AHEAD: u64 = 20_000;
const PRODUCERS: usize = 2;
const LOOK: Duration = Duration::from_millis(5);

/// Publishes batches until it is stopped.
pub(crate) struct Producer {
    tasks: Vec<JoinHandle<Result<()>>>,
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    shape: Shape,
    /// Messages a second; 0: as many as the workers can take.
    rate: AtomicU64,
    handled: AtomicU64,
    published: AtomicU64,
    enough: AtomicBool,
}

/// Which partition keys the messages have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    NoKeys,
    /// Every fourth message on one key, the others on a thousand.
    HotKey,
}

impl Producer {
    pub(crate) fn start(client: &Client, shape: Shape) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            shape,
            rate: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            published: AtomicU64::new(0),
            enough: AtomicBool::new(false),
        });
        let tasks = (0..PRODUCERS)
            .map(|_| tokio::spawn(Arc::clone(&shared).run()))
            .collect();
        Self { tasks, shared }
    }

    /// Paces it: messages a second, 0 for as many as the workers can take.
    pub(crate) fn rate(&self, rate: u64) {
        self.shared.rate.store(rate, Relaxed);
    }

    /// How many messages the workers handle a second, over so many seconds from now.
    pub(crate) async fn measure(&self, crew: &Crew, seconds: u64) -> Result<(u64, f64)> {
        let begin = crew.progress();
        self.keep_up(crew, Duration::from_secs(seconds)).await?;
        let end = crew.progress();
        Ok((
            end.handled - begin.handled,
            crate::clock::seconds(begin.at_us, end.at_us),
        ))
    }

    /// Lets both work for so long, the producer no further ahead than it may be.
    pub(crate) async fn keep_up(&self, crew: &Crew, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.shared.handled.store(crew.progress().handled, Relaxed);
            if self.tasks.iter().any(JoinHandle::is_finished) {
                return Err("the producer has ended before its time".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Lets it publish so many messages and stops it, with or without workers. Returns how many they were.
    pub(crate) async fn until_published(self, crew: Option<&Crew>, messages: u64) -> Result<u64> {
        while self.shared.published.load(Relaxed) < messages {
            match crew {
                Some(crew) => self.keep_up(crew, LOOK).await?,
                None => {
                    self.shared
                        .handled
                        .store(self.shared.published.load(Relaxed), Relaxed);
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
        self.stop().await
    }

    /// Stops it. Returns how many messages it has published.
    pub(crate) async fn stop(self) -> Result<u64> {
        self.shared.enough.store(true, Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok(self.shared.published.load(Relaxed))
    }
}

impl Shared {
    async fn run(self: Arc<Self>) -> Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        let mut due = Instant::now();
        while !self.enough.load(Relaxed) {
            match self.rate.load(Relaxed) {
                0 => {
                    if self.published.load(Relaxed) > self.handled.load(Relaxed) + AHEAD {
                        ticks.tick().await;
                        continue;
                    }
                    due = Instant::now();
                }
                rate => {
                    let wait = due.saturating_duration_since(Instant::now());
                    if !wait.is_zero() {
                        // In short steps, since the rate may change meanwhile.
                        tokio::time::sleep(wait.min(LOOK)).await;
                        continue;
                    }
                    due += Duration::from_secs_f64((BATCH * PRODUCERS as u64) as f64 / rate as f64);
                }
            }
            let from = self.published.fetch_add(BATCH, Relaxed);
            let batch = (from..from + BATCH)
                .map(|id| self.message(id))
                .collect::<Result<Vec<_>>>()?;
            self.client.publish_many(batch).await?;
        }
        Ok(())
    }

    fn message(&self, id: u64) -> Result<vulkan::Message> {
        let message = Order::new(id).message()?;
        Ok(match self.shape {
            Shape::NoKeys => message,
            Shape::HotKey if id.is_multiple_of(4) => message.key("hot"),
            Shape::HotKey => message.key(format!("k{}", id % 1000)),
        })
    }
}
