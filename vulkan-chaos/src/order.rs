//! The one event of the demo.

use serde::{Deserialize, Serialize};
use vulkan::{Event, Message};

use crate::Result;

pub(crate) const STREAM: &str = "orders";
/// Handled at least once: each run of its handler sends an e-mail, which nothing can take back.
pub(crate) const EMAILS: &str = "emails";
/// Handled exactly once: its handler books in the transaction that marks the message done.
pub(crate) const PAYMENTS: &str = "payments";
/// Both, as the scoreboard has them.
pub(crate) const GROUPS: [&str; 2] = [EMAILS, PAYMENTS];

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event(stream = "orders", kind = "order.placed")]
pub(crate) struct OrderPlaced {
    pub(crate) id: u64,
    /// One order in five is of a customer whose orders are handled in order.
    #[event(key)]
    pub(crate) customer: Option<String>,
}

impl OrderPlaced {
    pub(crate) fn nth(id: u64) -> Self {
        let customer = id
            .is_multiple_of(5)
            .then(|| format!("customer-{}", id % 61));
        Self { id, customer }
    }

    /// The same order published again is the same event: who gets no answer may ask again.
    pub(crate) fn once(&self) -> Result<Message> {
        Ok(Message::of(self)?.dedup_id(format!("order-{}", self.id)))
    }
}
