use serde::Serialize;
use sqlx::PgExecutor;
use vulkan_core::{Client, Error, Message};

use super::Queue;

/// The kind of the events that are jobs.
const KIND: &str = "job";

impl<T: Serialize> Queue<T> {
    /// Makes the queue's stream if it is not there. [`enqueue`](Self::enqueue) does so by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] if the queue's name is not valid, and those of the database.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn create(&self, client: &Client) -> Result<(), Error> {
        client.create_stream(self.name).await?;
        Ok(())
    }

    /// Enqueues a job, and returns its offset: when this returns, it is durable.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`]; [`Error::Name`] if the queue's name is not valid.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the job is enqueued, or not, but never half.
    pub async fn enqueue(&self, client: &Client, job: &T) -> Result<i64, Error> {
        self.enqueue_with(client, job, |message| message).await
    }

    /// Enqueues a job with options: a delay, a key, a dedup id, headers.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Cancel safety
    ///
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use vulkan_worker::Queue;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = vulkan_devpg::shared().await.create_database().await?;
    /// # let client = vulkan_core::Client::connect(&database.url()).await?;
    /// # client.migrate().await?;
    /// let reminders = Queue::<String>::new("reminders");
    /// let reminder = "pay invoice 7".to_owned();
    /// let tomorrow = Duration::from_secs(24 * 60 * 60);
    /// reminders
    ///     .enqueue_with(&client, &reminder, |job| job.delay(tomorrow).dedup_id("invoice-7"))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enqueue_with(
        &self,
        client: &Client,
        job: &T,
        options: impl FnOnce(Message) -> Message,
    ) -> Result<i64, Error> {
        let message = options(self.message(job)?);
        match client.publish(message.clone()).await {
            Err(Error::UnknownStream(_)) => {
                self.create(client).await?;
                client.publish(message).await
            }
            answer => answer,
        }
    }

    /// Enqueues many jobs in one statement: all of them, or none. Returns their offsets.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Cancel safety
    ///
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_many<'j>(
        &self,
        client: &Client,
        jobs: impl IntoIterator<Item = &'j T>,
    ) -> Result<Vec<i64>, Error>
    where
        T: 'j,
    {
        let jobs = jobs.into_iter().map(|job| self.message(job));
        let messages: Vec<Message> = jobs.collect::<Result<_, _>>()?;
        match client.publish_many(messages.clone()).await {
            Err(Error::UnknownStream(_)) => {
                self.create(client).await?;
                client.publish_many(messages).await
            }
            answer => answer,
        }
    }

    /// Enqueues a job on a connection or in a transaction of yours, with which it commits or vanishes.
    ///
    /// The queue must be there: [`create`](Self::create) it once, when the program starts.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`]; [`Error::UnknownStream`] if the queue is not there. An error of the database
    /// aborts the transaction.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it runs on your connection.
    pub async fn enqueue_in<'e>(
        &self,
        client: &Client,
        executor: impl PgExecutor<'e>,
        job: &T,
    ) -> Result<i64, Error> {
        client.publish_in(executor, self.message(job)?).await
    }

    /// The job as a message, for every other way to publish: [`Client::publish_in`] with options,
    /// [`Client::publish_once`], a [`Publisher`](vulkan_core::Publisher).
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the job cannot be written as JSON.
    pub fn message(&self, job: &T) -> Result<Message, Error> {
        Message::new(self.name, KIND, job)
    }
}
