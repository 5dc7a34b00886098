//! What the messages carry, and how a handler spends its time on one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// The typed payload of a message. Every handler is given it decoded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub id: u64,
    pub total: u64,
    pub note: String,
}

/// Makes payloads whose JSON has a given length.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    payload_bytes: usize,
}

impl Load {
    pub fn new(payload_bytes: usize) -> Self {
        Self { payload_bytes }
    }

    pub fn order(self, id: u64) -> Order {
        let bare = format!(r#"{{"id":{id},"total":{},"note":""}}"#, id * 3).len();
        Order {
            id,
            total: id * 3,
            note: "x".repeat(self.payload_bytes.saturating_sub(bare)),
        }
    }
}

/// The work of the handlers, and the count of what they have handled.
#[derive(Clone, Debug)]
pub struct Work {
    handled: Arc<AtomicU64>,
    sleep: Option<Duration>,
}

impl Work {
    pub fn new(work_ms: u64) -> Self {
        Self {
            handled: Arc::default(),
            sleep: (work_ms > 0).then(|| Duration::from_millis(work_ms)),
        }
    }

    /// What a handler does with one message, apart from counting it.
    pub async fn run(&self, order: Order) {
        // Otherwise the compiler may leave out fields that no one reads.
        std::hint::black_box(&order);
        if let Some(sleep) = self.sleep {
            tokio::time::sleep(sleep).await;
        }
    }

    pub async fn handle(&self, order: Order) {
        self.run(order).await;
        self.count(1);
    }

    pub fn count(&self, messages: u64) {
        self.handled.fetch_add(messages, Ordering::Relaxed);
    }

    pub fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }
}
