//! What the handlers of a process count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;

use super::{Deed, Latency, Progress};
use crate::clock::now_us;
use crate::order::Order;

pub(super) struct Tally {
    pub(super) deed: Deed,
    handled: AtomicU64,
    hot: AtomicU64,
    out_of_order: AtomicU64,
    /// The newest message of each key, plus one.
    newest: Vec<AtomicU64>,
    /// In microseconds.
    latency: Mutex<Histogram<u64>>,
}

impl Tally {
    pub(super) fn new(deed: Deed) -> Self {
        let keys = match deed {
            Deed::InOrder { keys } => keys,
            _ => 0,
        };
        Self {
            deed,
            handled: AtomicU64::new(0),
            hot: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            newest: (0..=keys).map(|_| AtomicU64::new(0)).collect(),
            latency: Mutex::new(
                Histogram::new(3).unwrap_or_else(|_| unreachable!("3 is a precision")),
            ),
        }
    }

    pub(super) fn handled(&self, order: &Order) {
        if order.key == Some(0) {
            self.hot.fetch_add(1, Relaxed);
        }
        self.handled.fetch_add(1, Relaxed);
    }

    pub(super) fn comes(&self, order: &Order) {
        let newest = order.key.and_then(|key| self.newest.get(key as usize));
        if newest.is_some_and(|newest| newest.swap(order.id + 1, Relaxed) > order.id) {
            self.out_of_order.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn starts(&self, order: &Order) {
        if let Some(at) = order.at_us {
            let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
            // It grows with what it is given, and refuses nothing.
            let _ = latency.record(now_us().saturating_sub(at));
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let handled = self.handled.load(Relaxed);
        Progress {
            handled,
            others: handled.saturating_sub(self.hot.load(Relaxed)),
            at_us: now_us(),
        }
    }

    pub(super) fn out_of_order(&self) -> u64 {
        self.out_of_order.load(Relaxed)
    }

    pub(super) fn latency(&self) -> Option<Latency> {
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let millis = |micros: u64| micros as f64 / 1000.0;
        (!latency.is_empty()).then(|| Latency {
            p50: millis(latency.value_at_quantile(0.5)),
            p99: millis(latency.value_at_quantile(0.99)),
            max: millis(latency.max()),
        })
    }
}
