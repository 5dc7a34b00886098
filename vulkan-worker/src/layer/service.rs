use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, poll_fn};
use tower_service::Service;

use super::{BoxError, HandlerCall};
use crate::handler::{ErasedHandler, Failure, HandlerError, Result};

type Answer = BoxFuture<'static, Result<(), BoxError>>;

/// A handler, with the layers put around it so far: what
/// [`WorkerBuilder::layer`](crate::WorkerBuilder::layer) puts one more around.
///
/// `Ok(())` means that the message is done. An error is a [`Failure`] where it comes from the
/// handler; any other error, as of `tower::timeout`, means: try again, after the backoff of the group.
pub struct HandlerService(Box<dyn Erased>);

impl HandlerService {
    /// A handler without layers.
    pub(crate) fn of<S: Send + Sync + 'static>(handler: ErasedHandler<S>, state: Arc<S>) -> Self {
        Self(Box::new(Innermost { handler, state }))
    }

    /// Any service, its type forgotten.
    pub(crate) fn new<T>(service: T) -> Self
    where
        T: Service<HandlerCall, Response = ()> + Clone + Send + Sync + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send + 'static,
    {
        Self(Box::new(service))
    }

    /// Calls a clone as soon as it is ready.
    pub(crate) async fn answer(&self, call: HandlerCall) -> Result {
        let mut service = self.clone();
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(call).await.map_err(HandlerError::from)
    }
}

impl Service<HandlerCall> for HandlerService {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.ready(cx)
    }

    fn call(&mut self, call: HandlerCall) -> Self::Future {
        self.0.answer(call)
    }
}

impl Clone for HandlerService {
    fn clone(&self) -> Self {
        Self(self.0.clone_boxed())
    }
}

impl fmt::Debug for HandlerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerService").finish_non_exhaustive()
    }
}

/// A service as a trait object that can be cloned.
trait Erased: Send + Sync {
    fn clone_boxed(&self) -> Box<dyn Erased>;
    fn ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
    fn answer(&mut self, call: HandlerCall) -> Answer;
}

impl<T> Erased for T
where
    T: Service<HandlerCall, Response = ()> + Clone + Send + Sync + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send + 'static,
{
    fn clone_boxed(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::poll_ready(self, cx).map_err(Into::into)
    }

    fn answer(&mut self, call: HandlerCall) -> Answer {
        Service::call(self, call)
            .map(|answer| answer.map_err(Into::into))
            .boxed()
    }
}

/// The handler itself. It is always ready.
struct Innermost<S> {
    handler: ErasedHandler<S>,
    state: Arc<S>,
}

impl<S> Clone for Innermost<S> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            state: Arc::clone(&self.state),
        }
    }
}

impl<S: Send + Sync + 'static> Service<HandlerCall> for Innermost<S> {
    type Response = ();
    type Error = Failure;
    type Future = BoxFuture<'static, Result<(), Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: HandlerCall) -> Self::Future {
        let Self { handler, state } = self.clone();
        async move {
            let mut ended = Ended {
                call: &call,
                well: false,
            };
            let answer = call.answer(&handler, &state).await;
            ended.well = answer.is_ok();
            answer.map_err(Failure::from)
        }
        .boxed()
    }
}

/// How the handler ended. Unless it was well, it gives up the handler's transaction: whatever a layer makes of an error, or of a handler that it
/// drops, what that handler wrote must not commit.
struct Ended<'a> {
    call: &'a HandlerCall,
    well: bool,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if !self.well {
            self.call.give_up();
        }
    }
}
