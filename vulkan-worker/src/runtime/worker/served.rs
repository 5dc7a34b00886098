use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Worker;
use crate::handler::HandlerOptions;
use crate::runtime::assigned::Assigned;
use crate::runtime::pulse::Card;
use crate::runtime::registry::{Registered, Served, kinds, told};

/// What a worker serves, as each part of it sees that.
impl<S: Send + Sync + 'static> Worker<S> {
    /// Each handler, in order, as the slots see it.
    pub(super) fn classes(&self) -> impl Iterator<Item = (i32, u32)> {
        let handlers = self.groups.iter().flat_map(|served| &served.handlers);
        handlers.map(|one| {
            let options = &one.options;
            (
                options.priority.unwrap_or_default(),
                options.weight.unwrap_or(1),
            )
        })
    }

    /// What the worker tells of itself.
    pub(super) fn card(&self) -> Card {
        let handlers = self.groups.iter().flat_map(|served| &served.handlers);
        Card {
            name: self.settings.name.clone(),
            instance: self.settings.instance.clone(),
            host: self.settings.host.clone(),
            version: self.settings.version.clone(),
            slots: self.settings.slots,
            handlers: handlers.map(|one| told(&one.options)).collect(),
        }
    }

    /// A handler in its place.
    pub(super) fn assign(
        &self,
        served: &Served<S>,
        one: &Registered<S>,
        class: usize,
    ) -> Assigned<S> {
        let options = &one.options;
        // What the whole group has is the database's to see to, where it can be changed any time.
        let of_group = served.options();
        let own_attempts = options.retries.map(|_| options.max_attempts());
        let own_backoff = options.backoff.filter(|_| of_group.backoff.is_none());
        let concurrency = options.concurrency.unwrap_or(self.settings.slots);
        Assigned {
            name: options.name.as_ref().into(),
            kinds: kinds(options),
            handler: one.handler.clone(),
            redact: self.settings.redact.clone(),
            layered: self.layers.around(&one.layers, &one.handler, &self.state),
            max_attempts: own_attempts
                .filter(|own| of_group.max_attempts.is_some_and(|max| *own < max)),
            backoff: own_backoff,
            timeout: options.timeout,
            batch: one.handler.takes_batches().then(|| {
                let batch = options.batch.unwrap_or(HandlerOptions::DEFAULT_BATCH);
                batch.max(1)
            }),
            concurrency,
            priority: options.priority.unwrap_or_default(),
            class,
            gate: (concurrency < self.settings.slots)
                .then(|| Arc::new(Semaphore::new(concurrency))),
        }
    }
}
