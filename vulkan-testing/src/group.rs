//! What has become of a group's messages.

mod assert;
mod message;
mod order;
mod table;

use std::fmt;

pub use message::TestMessage;
pub(crate) use table::Table;

use crate::TestApp;

/// A consumer group in a test, to ask and to assert what has become of its messages. Made by [`TestApp::group`].
///
/// # Examples
///
/// ```
/// use vulkan::{HandlerError, Message, handler};
/// use vulkan_testing::TestApp;
///
/// #[handler(stream = "orders", group = "billing")]
/// async fn bill(total: i64) -> vulkan::Result {
///     if total < 0 {
///         return Err(HandlerError::dead("a negative total"));
///     }
///     Ok(())
/// }
///
/// # async fn test() -> Result<(), vulkan::Error> {
/// let app = TestApp::new().await;
/// let good = app.publish(Message::new("orders", "order.placed", &7)?).await;
/// let bad = app.publish(Message::new("orders", "order.placed", &-7)?).await;
/// app.drain(app.worker().register(bill)).await;
///
/// let billing = app.group("orders", "billing");
/// billing.assert_done(1).await;
/// billing.assert_dead_with(bad, "a negative total").await;
/// billing.assert_attempts(good, 1).await;
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(test()).unwrap();
/// ```
#[derive(Clone)]
pub struct TestGroup<'a> {
    app: &'a TestApp,
    stream: String,
    group: String,
}

impl<'a> TestGroup<'a> {
    pub(crate) fn new(app: &'a TestApp, stream: &str, group: &str) -> Self {
        Self {
            app,
            stream: stream.to_owned(),
            group: group.to_owned(),
        }
    }
}

impl fmt::Debug for TestGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestGroup")
            .field("stream", &self.stream)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// As failures call it.
impl fmt::Display for TestGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {:?} of stream {:?}", self.group, self.stream)
    }
}
