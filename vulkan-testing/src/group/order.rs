//! Whether the record of a group shows its keys in order.

use std::collections::HashMap;

use vulkan::Status;

use super::TestMessage;

/// What the record says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order<'a> {
    /// Every key was handled in order.
    Kept,
    /// The later began before the earlier was over.
    Broken(&'a TestMessage, &'a TestMessage),
    /// No message with a key was handled.
    Unknown,
}

/// Compares each message with the one before it of its key. Messages by offset.
pub(super) fn check(messages: &[TestMessage]) -> Order<'_> {
    let mut last: HashMap<&str, &TestMessage> = HashMap::new();
    let mut handled = false;
    for message in messages {
        let Some(key) = message.key.as_deref() else {
            continue;
        };
        handled |= message.attempts > 0;
        if let Some(&earlier) = last.get(key)
            && !in_order(earlier, message)
        {
            return Order::Broken(earlier, message);
        }
        last.insert(key, message);
    }
    if handled { Order::Kept } else { Order::Unknown }
}

fn in_order(earlier: &TestMessage, later: &TestMessage) -> bool {
    if later.attempts == 0 {
        return true;
    }
    // One run of a key: its worker handles it in order, one after the other.
    if earlier.claimed_at == later.claimed_at && earlier.worker == later.worker {
        return earlier.attempts > 0;
    }
    matches!(earlier.status, Status::Done | Status::Dead) && earlier.updated_at <= later.claimed_at
}
