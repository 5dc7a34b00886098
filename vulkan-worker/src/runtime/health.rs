use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::events::{Listeners, WorkerEvent};
use super::watch::{ROUND, STUCK, Watch};

/// How a worker is: what its signs of life tell beyond its options. It listens to the worker's events.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The handlers in work.
    pub(super) watch: Watch,
    ignored: AtomicU64,
    trouble: Mutex<Option<(String, Instant)>>,
    /// Something happened that the next sign of life should not wait to tell.
    pub(super) changed: Notify,
}

impl Health {
    pub(super) fn hear(&self, event: &WorkerEvent<'_>) {
        match event {
            WorkerEvent::CancellationIgnored { .. } => {
                self.ignored.fetch_add(1, Ordering::Relaxed);
                self.changed.notify_one();
            }
            WorkerEvent::Stuck { .. } => self.changed.notify_one(),
            WorkerEvent::Trouble { call, error, .. } => {
                let mut text = format!("cannot {call}");
                let error = error.map(|error| error as &dyn std::error::Error);
                for cause in std::iter::successors(error, |error| error.source()) {
                    text.push_str(": ");
                    text.push_str(&cause.to_string());
                }
                // The database takes no NUL.
                let text = text.replace('\0', "\u{fffd}");
                let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                *trouble = Some((text, Instant::now()));
            }
            _ => {}
        }
    }

    /// Looks after the handlers in work until dropped.
    pub(super) async fn keep_watch(&self, listeners: &Listeners) {
        loop {
            tokio::time::sleep(ROUND).await;
            for one in self.watch.look() {
                listeners.tell(&WorkerEvent::Stuck {
                    stream: &one.stream,
                    group: &one.group,
                    handler: &one.handler,
                    offset: one.offset,
                    blocked: ROUND * STUCK,
                });
            }
        }
    }

    /// How many handlers did not end although they were told to.
    pub(super) fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// The last call to the database that failed, and how long ago that was.
    pub(super) fn last_trouble(&self) -> Option<(String, Duration)> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble
            .as_ref()
            .map(|(text, when)| (text.clone(), when.elapsed()))
    }
}
