use std::fmt;
use std::sync::Arc;

use crate::handler::Delivery;

/// One call of a handler, as the layers around it see it: the request of a
/// [`HandlerService`](super::HandlerService). Clones share it.
#[derive(Clone)]
pub struct HandlerCall {
    handler: Arc<str>,
    delivery: Arc<Delivery>,
}

impl HandlerCall {
    pub(crate) fn new(handler: Arc<str>, delivery: Delivery) -> Self {
        Self {
            handler,
            delivery: Arc::new(delivery),
        }
    }

    /// The handler's name.
    pub fn handler(&self) -> &str {
        &self.handler
    }

    /// What it is called with.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }
}

impl fmt::Debug for HandlerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerCall")
            .field("handler", &self.handler)
            .field("delivery", &self.delivery)
            .finish()
    }
}
