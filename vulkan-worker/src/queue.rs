//! A stream with one group as a plain job queue.

mod enqueue;
mod job;
mod work;

use std::fmt;
use std::marker::PhantomData;

use crate::handler::HandlerOptions;

pub use job::{Job, JobWithState};
pub use work::QueueWorker;

/// A plain job queue: jobs of one type go in, and each is worked off once.
///
/// It is a stream with one group, both of the queue's name, made when first used. So everything
/// that holds for streams and groups holds for it: retries and dead letters, redrive, the views, other
/// groups that read along.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use vulkan_worker::Queue;
///
/// #[derive(Serialize, Deserialize)]
/// struct Email {
///     to: String,
/// }
///
/// static EMAILS: Queue<Email> = Queue::new("emails");
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = vulkan_devpg::shared().await.create_database().await?;
/// # let client = vulkan_core::Client::connect(&database.url()).await?;
/// # client.migrate().await?;
/// EMAILS.enqueue(&client, &Email { to: "ada@example.com".into() }).await?;
///
/// let shutdown = vulkan_worker::Shutdown::new();
/// # shutdown.stop();
/// // In a program: `.run(vulkan::shutdown_signal())`.
/// EMAILS
///     .work(client, async |email: Email| println!("to {}", email.to))
///     .retries(5)
///     .run(shutdown)
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct Queue<T> {
    name: &'static str,
    jobs: PhantomData<fn(T) -> T>,
}

impl<T> Queue<T> {
    /// A queue of this name, which obeys the rule for streams: 1 to 128 of `a-z 0-9 . _ -`, beginning with a
    /// letter or digit. The database is not asked yet.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            jobs: PhantomData,
        }
    }

    /// The name of the queue, its stream and its group.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What its handlers are registered with, unless changed.
    pub fn options(&self) -> HandlerOptions {
        HandlerOptions::new(self.name, self.name)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Queue<T> {}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.name).finish()
    }
}
