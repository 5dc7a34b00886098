use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Batch, BatchHandler, Delivery, Handler, HandlerOptions, InBatches, Result};

/// Any handler for the state `S`, its type forgotten, so that a registry can hold many.
///
/// Clones share the handler.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Delivery, ErasedHandler, Handler, HandlerOptions, Result};
///
/// struct Audit;
///
/// impl<S: Sync> Handler<S> for Audit {
///     fn options(&self) -> HandlerOptions {
///         HandlerOptions::new("orders", "audit")
///     }
///
///     async fn call(&self, _: &Delivery, _: &S) -> Result {
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> vulkan_worker::Result {
/// let handler = ErasedHandler::<()>::new(Audit);
/// assert_eq!(handler.options().group, "audit");
/// handler.call(&Delivery::builder_json("paid")?.build(), &()).await?;
/// # Ok(()) }
/// ```
pub struct ErasedHandler<S>(Arc<dyn DynHandler<S>>);

impl<S: Sync> ErasedHandler<S> {
    /// Forgets the type of `handler`.
    pub fn new<H: Handler<S>>(handler: H) -> Self {
        handler.erase()
    }

    pub(super) fn one_by_one<H: Handler<S>>(handler: H) -> Self {
        Self(Arc::new(OneByOne(handler)))
    }

    pub(super) fn in_batches<H: BatchHandler<S>>(handler: InBatches<H>) -> Self {
        Self(Arc::new(handler))
    }
}

impl<S> ErasedHandler<S> {
    /// See [`Handler::options`].
    pub fn options(&self) -> HandlerOptions {
        self.0.options()
    }

    /// See [`Handler::call`].
    pub fn call<'a>(&'a self, delivery: &'a Delivery, state: &'a S) -> BoxFuture<'a, Result> {
        self.0.call(delivery, state)
    }

    /// Whether it takes several messages at once.
    pub fn takes_batches(&self) -> bool {
        self.0.takes_batches()
    }

    /// See [`BatchHandler::call`]. A handler that takes no batches gets them one by one, up to the first error, for which
    /// the rest fails, too.
    pub fn call_batch<'a>(&'a self, batch: &'a Batch, state: &'a S) -> BoxFuture<'a, Result> {
        self.0.call_batch(batch, state)
    }
}

impl<S> Clone for ErasedHandler<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for ErasedHandler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ErasedHandler")
            .field(&self.options())
            .finish()
    }
}

/// A handler as a trait object: the futures are boxed.
trait DynHandler<S>: Send + Sync {
    fn options(&self) -> HandlerOptions;

    fn takes_batches(&self) -> bool;

    fn call<'a>(&'a self, delivery: &'a Delivery, state: &'a S) -> BoxFuture<'a, Result>;

    fn call_batch<'a>(&'a self, batch: &'a Batch, state: &'a S) -> BoxFuture<'a, Result>;
}

/// A handler that takes one message at a time.
struct OneByOne<H>(H);

impl<S: Sync, H: Handler<S>> DynHandler<S> for OneByOne<H> {
    fn options(&self) -> HandlerOptions {
        self.0.options()
    }

    fn takes_batches(&self) -> bool {
        false
    }

    fn call<'a>(&'a self, delivery: &'a Delivery, state: &'a S) -> BoxFuture<'a, Result> {
        Box::pin(self.0.call(delivery, state))
    }

    fn call_batch<'a>(&'a self, batch: &'a Batch, state: &'a S) -> BoxFuture<'a, Result> {
        Box::pin(async move {
            for delivery in batch.deliveries() {
                self.0.call(delivery, state).await?;
            }
            Ok(())
        })
    }
}

impl<S: Sync, H: BatchHandler<S>> DynHandler<S> for InBatches<H> {
    fn options(&self) -> HandlerOptions {
        Handler::options(self)
    }

    fn takes_batches(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, delivery: &'a Delivery, state: &'a S) -> BoxFuture<'a, Result> {
        Box::pin(Handler::call(self, delivery, state))
    }

    fn call_batch<'a>(&'a self, batch: &'a Batch, state: &'a S) -> BoxFuture<'a, Result> {
        Box::pin(self.0.call(batch, state))
    }
}
