use vulkan_core::engine::Claimed;

use crate::handler::Delivery;

/// One attempt of a handler at a message, as a [`WorkerEvent`](super::WorkerEvent) speaks of it.
///
/// It names the message and holds neither its payload nor its partition key, so that what is made of
/// events, such as logs and metrics, cannot give them away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The stream the event was published to.
    pub stream: &'a str,
    /// The group that handles it.
    pub group: &'a str,
    /// The handler, by its name. Empty if there is none for the kind.
    pub handler: &'a str,
    /// The position of the event in its stream.
    pub offset: i64,
    /// The event's kind.
    pub kind: &'a str,
    /// Which attempt it is. The first is 1.
    pub number: u32,
    /// The attempt after which an error leaves the message dead.
    pub max: u32,
}

impl<'a> Attempt<'a> {
    pub(crate) fn of(handler: &'a str, delivery: &'a Delivery) -> Self {
        Self {
            stream: &delivery.stream,
            group: &delivery.group,
            handler,
            offset: delivery.offset,
            kind: &delivery.kind,
            number: delivery.attempt,
            max: delivery.max_attempts,
        }
    }

    /// Of a message that no handler takes.
    pub(crate) fn unhandled(
        stream: &'a str,
        group: &'a str,
        max: u32,
        message: &'a Claimed,
    ) -> Self {
        Self {
            stream,
            group,
            handler: "",
            offset: message.offset,
            kind: &message.kind,
            number: u32::try_from(message.attempt).unwrap_or(1),
            max,
        }
    }
}
