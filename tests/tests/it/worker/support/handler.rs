//! A handler made of a closure, so that each test can have its own.

use std::pin::Pin;
use std::time::Duration;

use vulkan::{Delivery, Handler, HandlerOptions};

use super::gate::Gate;

pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = vulkan::Result> + Send + 'a>>;

/// A closure and the options it is registered with.
pub(crate) struct On<F> {
    options: HandlerOptions,
    call: F,
}

/// A handler that calls a closure.
pub(crate) fn on<F>(options: HandlerOptions, call: F) -> On<F>
where
    F: for<'a> Fn(&'a Delivery) -> Answer<'a> + Send + Sync + 'static,
{
    On { options, call }
}

/// A handler that waits at the gate, and succeeds.
pub(crate) fn waits_at(
    gate: &Gate,
    options: HandlerOptions,
) -> On<impl for<'a> Fn(&'a Delivery) -> Answer<'a> + Send + Sync + use<>> {
    let gate = gate.clone();
    on(options, move |delivery| {
        let (gate, offset) = (gate.clone(), delivery.offset());
        Box::pin(async move {
            gate.pass(offset).await;
            Ok(())
        })
    })
}

/// Options for a group of stream `orders` that retries almost at once.
pub(crate) fn options(group: &'static str) -> HandlerOptions {
    HandlerOptions::new("orders", group).backoff(vulkan::Backoff::new(
        Duration::from_millis(10),
        Duration::from_millis(50),
    ))
}

impl<S, F> Handler<S> for On<F>
where
    S: Sync,
    F: for<'a> Fn(&'a Delivery) -> Answer<'a> + Send + Sync + 'static,
{
    fn options(&self) -> HandlerOptions {
        self.options.clone()
    }

    async fn call(&self, delivery: &Delivery, _: &S) -> vulkan::Result {
        (self.call)(delivery).await
    }
}
