use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;
use tower_service::Service;

use super::{BoxError, HandlerCall, HandlerService};
use crate::handler::ErasedHandler;

type Wrap = Arc<dyn Fn(HandlerService) -> HandlerService + Send + Sync>;

/// Layers, the first outermost, as in `tower::ServiceBuilder`.
#[derive(Clone, Default)]
pub(crate) struct Stack(Vec<Wrap>);

impl Stack {
    /// Adds a layer inside of those there are.
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<HandlerService> + Send + Sync + 'static,
        L::Service: Service<HandlerCall, Response = ()> + Clone + Send + Sync + 'static,
        <L::Service as Service<HandlerCall>>::Error: Into<BoxError>,
        <L::Service as Service<HandlerCall>>::Future: Send + 'static,
    {
        self.0.push(Arc::new(move |inner| {
            HandlerService::new(layer.layer(inner))
        }));
    }

    /// A handler with these layers around it, and inside of them those of its own. `None` without any.
    pub(crate) fn around<S: Send + Sync + 'static>(
        &self,
        own: &Self,
        handler: &ErasedHandler<S>,
        state: &Arc<S>,
    ) -> Option<HandlerService> {
        if self.0.is_empty() && own.0.is_empty() {
            return None;
        }
        let bare = HandlerService::of(handler.clone(), Arc::clone(state));
        let inside_out = own.0.iter().rev().chain(self.0.iter().rev());
        Some(inside_out.fold(bare, |inner, wrap| wrap(inner)))
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stack").field(&self.0.len()).finish()
    }
}
