//! What a queue has to offer to be measured.

use std::ops::Range;

use anyhow::Result;

use crate::load::{Load, Work};

/// What a run asks of every queue alike.
#[derive(Clone, Debug)]
pub struct Setting {
    pub url: String,
    /// Handlers at work at the same time.
    pub slots: usize,
    pub load: Load,
    pub work: Work,
}

/// A queue whose schema is installed. Clones share its connections.
pub trait Peer: Clone + Send + Sync + Sized + 'static {
    const NAME: &'static str;
    const VERSION: &'static str;

    /// Messages in one bulk insert.
    const BATCH: u64 = 1_000;

    /// Bulk inserts at the same time.
    const PRODUCERS: u64 = 2;

    /// Messages that the producers may be ahead of the handlers.
    const AHEAD: u64 = 20_000;

    /// The worker while it runs. Dropping it may leave tasks behind: `stop` it.
    type Worker: Send;

    /// Connects and installs the schema.
    fn open(setting: Setting) -> impl Future<Output = Result<Self>>;

    /// Inserts messages with these ids the quickest way that the queue has.
    fn insert(&self, ids: Range<u64>) -> impl Future<Output = Result<()>> + Send;

    /// Inserts one message as an application does in answer to a request.
    fn insert_one(&self, id: u64) -> impl Future<Output = Result<()>> + Send;

    /// What has to happen between the insert of a backlog and the start of a worker.
    fn loaded(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    fn start(&self) -> impl Future<Output = Result<Self::Worker>> + Send;

    /// Whether the database has all messages completed.
    fn done(&self) -> impl Future<Output = Result<bool>> + Send;

    fn stop(worker: Self::Worker) -> impl Future<Output = Result<()>> + Send;
}
