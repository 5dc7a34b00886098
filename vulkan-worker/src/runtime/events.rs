//! What a worker does, told to whoever listens. The log is one listener among others.

mod attempt;
mod worker_event;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use attempt::Attempt;
pub use worker_event::{DatabaseCall, Interruption, WorkerEvent};

use super::log;
use super::readiness::Readiness;

/// Whoever listens to a worker. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Listeners {
    all: Arc<Vec<Listener>>,
    /// It hears everything first, and what is no event: that a call was answered.
    readiness: Readiness,
}

struct Listener {
    hear: Box<dyn Fn(&WorkerEvent<'_>) + Send + Sync>,
    /// It panicked before, which is not told twice.
    panicked: AtomicBool,
}

impl Listeners {
    /// Adds one more, before anything is told.
    pub(super) fn add(&mut self, hear: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) {
        let listener = Listener {
            hear: Box::new(hear),
            panicked: AtomicBool::new(false),
        };
        // Not shared yet; if it were, the clones would not hear of the newcomer.
        if let Some(listeners) = Arc::get_mut(&mut self.all) {
            listeners.push(listener);
        }
    }

    /// A call of the database was answered, for a group if it was for one.
    pub(super) fn answered(&self, call: DatabaseCall, group: Option<(&str, &str)>) {
        self.readiness.answered(call, group);
    }

    /// Nobody needs such a call at the moment, whatever became of the last.
    pub(super) fn needless(&self, call: DatabaseCall) {
        self.readiness.needless(call);
    }

    /// Whether the worker can do its work.
    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Tells everybody, in the order in which they were added. Allocates nothing.
    pub(super) fn tell(&self, event: &WorkerEvent<'_>) {
        log::write(event);
        self.readiness.hear(event);
        for listener in self.all.iter() {
            // What listens must not end what works.
            let heard = catch_unwind(AssertUnwindSafe(|| (listener.hear)(event)));
            if heard.is_err() && !listener.panicked.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    "a listener to the worker's events panicked; it is called again all the same"
                );
            }
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners").field(&self.all.len()).finish()
    }
}
