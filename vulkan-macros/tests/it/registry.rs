//! A stand-in for the builder of the worker, to prove that registration is inferred as it should.

use vulkan::{ErasedHandler, Handler, IntoHandler};

pub(crate) struct Registry<S>(Vec<ErasedHandler<S>>);

impl<S: Send + Sync + 'static> Registry<S> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn register<H, M>(mut self, handler: H) -> Self
    where
        H: IntoHandler<S, M>,
        H::Handler: Handler<S>,
    {
        self.0.push(ErasedHandler::new(handler.into_handler()));
        self
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.0.iter().map(|handler| handler.options().name);
        names.map(|name| name.into_owned()).collect()
    }

    pub(crate) fn only(mut self) -> ErasedHandler<S> {
        assert_eq!(self.0.len(), 1);
        self.0.remove(0)
    }
}

/// Registers one handler and takes it out again, its type forgotten.
pub(crate) fn erase<S, H, M>(handler: H) -> ErasedHandler<S>
where
    S: Send + Sync + 'static,
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
    Registry::new().register(handler).only()
}
