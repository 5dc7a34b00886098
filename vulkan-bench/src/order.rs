//! The payload of all measurements: a JSON object of about 150 bytes.

use serde::{Deserialize, Serialize};
use vulkan::Message;

pub(crate) const STREAM: &str = "orders";
pub(crate) const KIND: &str = "order.placed";

/// What a handler gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Counts from 0 in log order.
    pub(crate) id: u64,
    /// The number of its partition key, if it has one.
    pub(crate) key: Option<u32>,
    /// When it was about to be published, where that is of interest: see [`crate::clock::now_us`].
    pub(crate) at_us: Option<u64>,
    pub(crate) note: String,
}

impl Order {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            key: None,
            at_us: None,
            note: NOTE.to_owned(),
        }
    }

    pub(crate) fn message(&self) -> vulkan::Result<Message, vulkan::Error> {
        Message::new(STREAM, KIND, self)
    }
}

/// Fills the payload up.
pub(crate) const NOTE: &str = "a gift, please wrap it in paper and leave it at the door, or with the neighbours on the left side of the street, if you please";
