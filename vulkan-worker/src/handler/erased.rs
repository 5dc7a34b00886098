use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Delivery, Handler, HandlerOptions, Result};

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

/// [`Handler`] as a trait object: the future is boxed.
trait DynHandler<S>: Send + Sync {
    fn options(&self) -> HandlerOptions;

    fn call<'a>(&'a self, delivery: &'a Delivery, state: &'a S) -> BoxFuture<'a, Result>;
}

impl<S: Sync, H: Handler<S>> DynHandler<S> for H {
    fn options(&self) -> HandlerOptions {
        Handler::options(self)
    }

    fn call<'a>(&'a self, delivery: &'a Delivery, state: &'a S) -> BoxFuture<'a, Result> {
        Box::pin(Handler::call(self, delivery, state))
    }
}
