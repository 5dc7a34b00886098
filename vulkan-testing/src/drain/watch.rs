//! What a drain hears of its worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vulkan::{WorkerBuilder, WorkerEvent};

/// Listens to a worker.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    started: bool,
    begun: Vec<Begun>,
}

/// An attempt that a handler began with.
#[derive(Clone)]
pub(super) struct Begun {
    pub(super) stream: String,
    pub(super) group: String,
    pub(super) offset: i64,
}

impl Watch {
    /// Listens to this one.
    pub(super) fn over<S: Send + Sync + 'static>(
        &self,
        worker: WorkerBuilder<S>,
    ) -> WorkerBuilder<S> {
        let watch = self.clone();
        worker.on_event(move |event| match event {
            WorkerEvent::Started { .. } => watch.heard().started = true,
            WorkerEvent::Begun { attempt, .. } => {
                let begun = Begun {
                    stream: attempt.stream.to_owned(),
                    group: attempt.group.to_owned(),
                    offset: attempt.offset,
                };
                watch.heard().begun.push(begun);
            }
            _ => {}
        })
    }

    /// Its groups are made, with the options of its handlers.
    pub(super) fn has_started(&self) -> bool {
        self.heard().started
    }

    /// The attempts that handlers began with, in their order.
    pub(super) fn begun(&self) -> Vec<Begun> {
        self.heard().begun.clone()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
