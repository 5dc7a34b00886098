//! A message as `vulkan.claim()` hands it out.

#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Message {
    pub(crate) offset: i64,
    pub(crate) partition_key: Option<String>,
    pub(crate) attempt: i32,
    pub(crate) token: i64,
    pub(crate) claim_hi: Option<i64>,
    pub(crate) lane: Option<i64>,
    pub(crate) solo: bool,
}

/// The offsets of messages, as they came.
pub(crate) fn offsets(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|message| message.offset).collect()
}
