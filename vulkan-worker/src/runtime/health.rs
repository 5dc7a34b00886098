use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::watch::{ROUND, Watch};

/// How a worker is: what its signs of life tell beyond its options.
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
    /// Looks after the handlers in work until dropped.
    pub(super) async fn keep_watch(&self) {
        loop {
            tokio::time::sleep(ROUND).await;
            if self.watch.look() {
                self.changed.notify_one();
            }
        }
    }

    /// Notes and reports a handler that was told to end and did not in time.
    pub(super) fn ignored(&self, what: &Ignored<'_>) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        tracing::warn!(
            stream = what.stream,
            group = what.group,
            handler = what.handler,
            offset = what.offset,
            why = what.why,
            after = ?what.after,
            "the handler ignores its cancellation; it is dropped"
        );
    }

    pub(super) fn all_ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Notes a call to the database that failed, with all its causes.
    pub(super) fn trouble(&self, what: &str, error: &vulkan_core::Error) {
        let mut text = format!("{what}: {error}");
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        // The database takes no NUL.
        let text = text.replace('\0', "\u{fffd}");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some((text, Instant::now()));
    }

    /// The last such call, and how long ago it was.
    pub(super) fn last_trouble(&self) -> Option<(String, Duration)> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble
            .as_ref()
            .map(|(text, when)| (text.clone(), when.elapsed()))
    }
}

/// A handler that was told to end and did not in time.
#[derive(Debug)]
pub(super) struct Ignored<'a> {
    pub(super) stream: &'a str,
    pub(super) group: &'a str,
    pub(super) handler: &'a str,
    pub(super) offset: i64,
    /// What it was told for.
    pub(super) why: &'static str,
    /// How long ago that was.
    pub(super) after: Duration,
}
