//! A worker at work.

use tokio::task::JoinHandle;
use vulkan::{RunError, Shutdown, WorkerBuilder};

use crate::support::within;

/// A worker that runs beside the test, and is dropped with it.
pub(crate) struct Running {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub(crate) fn start<S: Send + Sync + 'static>(builder: WorkerBuilder<S>) -> Self {
        let shutdown = Shutdown::new();
        let task = tokio::spawn(builder.run(shutdown.clone()));
        Self { shutdown, task }
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), RunError> {
        self.shutdown.stop();
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> Result<(), RunError> {
        within("the worker to end", &mut self.task).await.unwrap()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
