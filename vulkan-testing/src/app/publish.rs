//! Publishing, as a test does it.

use std::future::Future;
use std::panic::Location;

use vulkan::{Error, IntoMessage};

use super::TestApp;
use crate::failure::{Caller, OrFail};

impl TestApp {
    /// Publishes an event and returns its offset. A stream that does not exist is made first.
    ///
    /// What the test publishes is no news to [`assert_nothing_else_published`](Self::assert_nothing_else_published).
    ///
    /// # Panics
    ///
    /// When the event is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan::Message;
    /// use vulkan_testing::TestApp;
    ///
    /// # async fn test() -> Result<(), vulkan::Error> {
    /// let app = TestApp::new().await;
    /// let offset = app.publish(Message::new("orders", "order.placed", &7)?.key("ada")).await;
    /// assert_eq!(offset, 1);
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
    /// ```
    #[track_caller]
    pub fn publish(&self, message: impl IntoMessage) -> impl Future<Output = i64> {
        let at = Location::caller();
        let message = message
            .into_message()
            .or_fail(at, "the event cannot be published");
        async move {
            let offset = match self.client.publish(message.clone()).await {
                Err(Error::UnknownStream(_)) => {
                    self.create_stream(message.stream(), at).await;
                    self.client.publish(message).await
                }
                answer => answer,
            };
            let offset = offset.or_fail(at, "the event cannot be published");
            self.known().insert(offset);
            offset
        }
    }

    /// Publishes a batch of events of one stream and returns their offsets in the same order. A stream that does not
    /// exist is made first.
    ///
    /// # Panics
    ///
    /// When the batch is refused.
    #[track_caller]
    pub fn publish_many<M: IntoMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> impl Future<Output = Vec<i64>> {
        let at = Location::caller();
        let messages: Vec<_> = messages
            .into_iter()
            .map(|message| {
                message
                    .into_message()
                    .or_fail(at, "the batch cannot be published")
            })
            .collect();
        async move {
            let offsets = match self.client.publish_many(messages.clone()).await {
                Err(Error::UnknownStream(_)) => {
                    if let Some(message) = messages.first() {
                        self.create_stream(message.stream(), at).await;
                    }
                    self.client.publish_many(messages).await
                }
                answer => answer,
            };
            let offsets = offsets.or_fail(at, "the batch cannot be published");
            self.known().extend(&offsets);
            offsets
        }
    }

    async fn create_stream(&self, stream: &str, at: Caller) {
        let made = self.client.create_stream(stream).await;
        made.or_fail(at, format_args!("stream {stream:?} cannot be made"));
    }
}
