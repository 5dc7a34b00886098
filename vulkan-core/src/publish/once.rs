use sqlx::types::Json;
use sqlx::{FromRow, PgExecutor};

use super::message::{IntoMessage, Message};
use crate::client::Client;
use crate::detach::answered_or;
use crate::error::Error;
use crate::interval::interval;
use crate::telemetry::Publishing;

/// Where an event with a dedup id stands, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
#[non_exhaustive]
pub struct Published {
    /// The offset that the id got first.
    pub offset: i64,
    /// The event was published before, within the window, and nothing was appended now.
    pub duplicate: bool,
}

impl Client {
    /// Publishes one event as [`publish`](Self::publish) does, and says whether its dedup id was
    /// published before. Without a dedup id nothing is a duplicate.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = vulkan_devpg::shared().await.create_database().await?;
    /// # let client = vulkan_core::Client::connect(&database.url()).await?;
    /// # client.migrate().await?;
    /// # client.create_stream("orders").await?;
    /// use std::time::Duration;
    /// use vulkan_core::Message;
    ///
    /// let placed = Message::new("orders", "order.placed", &7)?
    ///     .dedup_id("order-7")
    ///     .dedup_window(Duration::from_secs(24 * 60 * 60));
    /// let first = client.publish_once(placed.clone()).await?;
    /// let again = client.publish_once(placed).await?;
    /// assert!(!first.duplicate && again.duplicate);
    /// assert_eq!(first.offset, again.offset);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn publish_once(&self, message: impl IntoMessage) -> Result<Published, Error> {
        let mut message = message.into_message()?;
        let span = Publishing::one(self, &mut message);
        let limit = super::patience(std::slice::from_ref(&message));
        let call = answered_or(limit, self, move |connection| {
            Box::pin(async move { publish_once(connection, &message).await })
        });
        span.around(call, |published| Some(published.offset)).await
    }

    /// Publishes as [`publish_once`](Self::publish_once) does, on a connection or in a transaction of yours.
    ///
    /// Who publishes the same id meanwhile waits for the end of the transaction.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); an error of the database aborts the transaction.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it runs on your connection.
    pub async fn publish_once_in<'e>(
        &self,
        executor: impl PgExecutor<'e>,
        message: impl IntoMessage,
    ) -> Result<Published, Error> {
        let mut message = message.into_message()?;
        let span = Publishing::one(self, &mut message);
        let call = publish_once(executor, &message);
        span.around(call, |published| Some(published.offset)).await
    }
}

async fn publish_once<'e>(
    executor: impl PgExecutor<'e>,
    message: &Message,
) -> Result<Published, Error> {
    message.check()?;
    Ok(
        sqlx::query_as(include_str!("../../queries/publish_once.sql"))
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
            .await?,
    )
}
