/// What traces hold, and how they are connected. Set with
/// [`Client::with_traces`](crate::Client::with_traces).
///
/// Payloads and headers are in no span, whatever is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "options do nothing until a client has them"]
pub struct TraceOptions {
    pub(super) links_only: bool,
    pub(super) create_spans: bool,
    pub(super) partition_keys: bool,
    pub(super) body_sizes: bool,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            links_only: false,
            create_spans: true,
            partition_keys: false,
            body_sizes: false,
        }
    }
}

impl TraceOptions {
    /// Options as they are unless set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the first attempt, too, begins a trace of its own that is only linked to the publisher's.
    /// Unless set, it is part of the publisher's trace.
    pub fn links_only(mut self, yes: bool) -> Self {
        self.links_only = yes;
        self
    }

    /// Whether each message of a batch gets a span of its own, which is what its attempts belong to. It does,
    /// unless set to `false`: then all messages of a batch have the context of the one publishing span.
    pub fn create_spans(mut self, yes: bool) -> Self {
        self.create_spans = yes;
        self
    }

    /// Whether spans hold the partition key, as `vulkan.partition_key`. They do not, unless set: a key
    /// often names a person.
    pub fn partition_keys(mut self, yes: bool) -> Self {
        self.partition_keys = yes;
        self
    }

    /// Whether spans hold the size of the payload, as `messaging.message.body.size`. They do not, unless set.
    pub fn body_sizes(mut self, yes: bool) -> Self {
        self.body_sizes = yes;
        self
    }
}
