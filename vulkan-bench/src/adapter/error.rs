use std::error::Error;
use std::io;
use std::process::ExitCode;

use tokio::task::JoinError;

use super::config::BadVariable;

/// Why the adapter cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdapterError {
    #[error(transparent)]
    Environment(#[from] BadVariable),
    #[error("the database cannot be prepared")]
    Prepare(#[source] vulkan::Error),
    #[error("the histogram of latencies cannot be made")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error("signals cannot be taken over")]
    Signals(#[source] io::Error),
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
    #[error("nobody reads the standard output")]
    Output(#[source] io::Error),
    #[error("a part of the adapter has ended")]
    Part(#[source] JoinError),
}

impl AdapterError {
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Environment(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    /// With its sources.
    pub(super) fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            line += ": ";
            line += &error.to_string();
            source = error.source();
        }
        line.replace('\n', " ")
    }
}
