use std::fmt;
use std::sync::Arc;

use crate::handler::{Batch, Delivery, ErasedHandler, Result};

/// One call of a handler, as the layers around it see it: the request of a
/// [`HandlerService`](super::HandlerService). Clones share it.
#[derive(Clone)]
pub struct HandlerCall {
    handler: Arc<str>,
    work: Work,
}

#[derive(Clone)]
enum Work {
    One(Arc<Delivery>),
    Batch(Arc<Batch>),
}

impl HandlerCall {
    pub(crate) fn one(handler: Arc<str>, delivery: Arc<Delivery>) -> Self {
        Self {
            handler,
            work: Work::One(delivery),
        }
    }

    pub(crate) fn batch(handler: Arc<str>, batch: Arc<Batch>) -> Self {
        Self {
            handler,
            work: Work::Batch(batch),
        }
    }

    /// The handler's name.
    pub fn handler(&self) -> &str {
        &self.handler
    }

    /// What it is called with: one delivery, or those of a batch.
    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        let (one, batch) = match &self.work {
            Work::One(delivery) => (Some(&**delivery), None),
            Work::Batch(batch) => (None, Some(batch.deliveries())),
        };
        one.into_iter().chain(batch.into_iter().flatten())
    }

    /// The delivery it is called with, unless it is a batch.
    pub fn delivery(&self) -> Option<&Delivery> {
        match &self.work {
            Work::One(delivery) => Some(delivery),
            Work::Batch(_) => None,
        }
    }

    pub(super) async fn answer<S>(&self, handler: &ErasedHandler<S>, state: &S) -> Result {
        match &self.work {
            Work::One(delivery) => handler.call(delivery, state).await,
            Work::Batch(batch) => {
                // A layer may have called before: what was said then of single messages is void.
                batch.take_failures();
                handler.call_batch(batch, state).await
            }
        }
    }

    /// Gives up the handler's transaction, if there is one.
    pub(super) fn give_up(&self) {
        match &self.work {
            Work::One(delivery) => delivery.tx.give_up(),
            Work::Batch(batch) => batch.give_up(),
        }
    }
}

impl fmt::Debug for HandlerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut call = f.debug_struct("HandlerCall");
        call.field("handler", &self.handler);
        match &self.work {
            Work::One(delivery) => call.field("delivery", delivery),
            Work::Batch(batch) => call.field("batch", batch),
        };
        call.finish()
    }
}
