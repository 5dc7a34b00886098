use super::{DryRun, Status};
use crate::client::Client;
use crate::error::Error;

impl Client {
    /// Gives one message up for a group; returns the state it had.
    ///
    /// | It was | It is |
    /// |---|---|
    /// | [`Status::Ready`]: waiting for its turn, its time, its retry, or behind its key | dead at once, with `cancelled: reason` as its last error; its key goes on |
    /// | [`Status::Processing`] | asked to stop: within about a second its handler is told; unless that still succeeds, it ends dead and is not tried again |
    /// | [`Status::Done`], [`Status::Dead`] | as it was |
    ///
    /// A cancelled message can be redriven.
    ///
    /// # Errors
    ///
    /// [`Error::NoMessage`] if the event is no message of the group; [`Error::Database`], transient, if
    /// a handler's transaction that has completed the message does not end within five seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_core::{Client, DryRun, GroupOptions, Message, Status};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = vulkan_devpg::shared().await.create_database().await?;
    /// # let client = Client::connect(&database.url()).await?;
    /// # client.migrate().await?;
    /// # client.create_stream("orders").await?;
    /// # client.ensure_group("orders", "billing", GroupOptions::default()).await?;
    /// let offset = client.publish(Message::new("orders", "order.placed", &42)?).await?;
    /// let was = client
    ///     .cancel("orders", "billing", offset, Some("ordered twice"), DryRun::No)
    ///     .await?;
    /// assert_eq!(was, Status::Ready);
    /// let now = client.inspect(offset).await?.remove(0);
    /// assert_eq!(now.status, Status::Dead);
    /// assert_eq!(now.last_error.as_deref(), Some("cancelled: ordered twice"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel(
        &self,
        stream: &str,
        group: &str,
        offset: i64,
        reason: Option<&str>,
        dry_run: DryRun,
    ) -> Result<Status, Error> {
        let sql = include_str!("../../queries/cancel.sql");
        self.end_message(sql, stream, group, offset, reason, dry_run)
            .await
    }
}
