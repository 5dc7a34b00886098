use std::time::Duration;

/// What is done to connections. By default, nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Toxics {
    /// Each piece comes so much later …
    pub(crate) latency: Duration,
    /// … give or take so much.
    pub(crate) jitter: Duration,
    /// Bytes a second in each direction.
    pub(crate) bandwidth: Option<u64>,
    /// Pieces are cut to so many bytes.
    pub(crate) slice: Option<usize>,
    /// Of a hundred requests, so many end with a reset of the connection: before the server has it, before its answer
    /// comes, or in place of the answer.
    pub(crate) reset_percent: u32,
    /// Connections end after so many bytes.
    pub(crate) limit: Option<u64>,
    /// The end of a connection comes so much later.
    pub(crate) slow_close: Duration,
    /// Connections with a lower number carry nothing.
    pub(crate) silent_below: usize,
    /// New connections are reset.
    pub(crate) refuse: bool,
}
