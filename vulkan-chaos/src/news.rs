//! What happens, a sentence each, for the screen and for the script.

use std::fmt::Display;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Whoever has something to tell has one of these.
#[derive(Debug, Clone)]
pub(crate) struct News(UnboundedSender<String>);

impl News {
    pub(crate) fn new() -> (Self, UnboundedReceiver<String>) {
        let (tell, told) = unbounded_channel();
        (Self(tell), told)
    }

    pub(crate) fn tell(&self, sentence: impl Display) {
        // Nobody listens any more at the very end.
        let _ = self.0.send(sentence.to_string());
    }
}
