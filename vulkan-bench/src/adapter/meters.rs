use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hdrhistogram::CreationError;

use super::job::micros;
use super::latency::{Latencies, Percentiles};

/// What is counted while it runs.
#[derive(Debug)]
pub(super) struct Meters {
    enqueued: AtomicU64,
    completed: AtomicU64,
    latencies: Mutex<Latencies>,
}

/// How often each has happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Messages that the database has confirmed.
    pub(super) enqueued: u64,
    /// Handlers that have returned.
    pub(super) completed: u64,
}

impl Meters {
    pub(super) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            enqueued: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            latencies: Mutex::new(Latencies::new(Instant::now())?),
        })
    }

    pub(super) fn enqueued(&self, messages: u64) {
        self.enqueued.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn completed(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    /// A handler begins with a message that was about to be published then.
    pub(super) fn begun(&self, published: u64) {
        let latency = micros().saturating_sub(published);
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(Instant::now(), latency);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            enqueued: self.enqueued.load(Ordering::Relaxed),
            completed: self.completed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .percentiles(Instant::now())
    }
}
