//! A panic anywhere ends the demo. In a task it would end only that, and leave a screen that shows something else.

use std::panic;
use std::sync::Arc;

use tokio::sync::Notify;

/// Waits for a panic. To be made before the terminal is taken, whose own hook then comes first: it makes the terminal the user's
/// again, so that the message can be read.
#[derive(Debug)]
pub(crate) struct Panics(Arc<Notify>);

impl Panics {
    pub(crate) fn watch() -> Self {
        let happened = Arc::new(Notify::new());
        let (tell, say) = (Arc::clone(&happened), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            say(info);
            tell.notify_one();
        }));
        Self(happened)
    }

    pub(crate) async fn one(&self) {
        self.0.notified().await;
    }
}
