//! A place where handlers wait until the test lets them go on.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::support::within;

/// Handlers tell it that they came, and wait.
#[derive(Clone)]
pub(crate) struct Gate {
    came: mpsc::UnboundedSender<i64>,
    open: Arc<Semaphore>,
}

/// The test's side of a [`Gate`].
pub(crate) struct Keeper {
    came: mpsc::UnboundedReceiver<i64>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> (Self, Keeper) {
        let (tell, came) = mpsc::unbounded_channel();
        let open = Arc::new(Semaphore::new(0));
        let gate = Self {
            came: tell,
            open: Arc::clone(&open),
        };
        (gate, Keeper { came, open })
    }

    /// Tells the test that this message came, and waits to be let through.
    pub(crate) async fn pass(&self, offset: i64) {
        self.tell(offset);
        self.open.acquire().await.unwrap().forget();
    }

    /// Tells the test that this message came.
    pub(crate) fn tell(&self, offset: i64) {
        // Nobody listens any more when the test is over.
        let _ = self.came.send(offset);
    }
}

impl Keeper {
    /// The next message that comes.
    pub(crate) async fn next(&mut self) -> i64 {
        within("a handler to begin", self.came.recv())
            .await
            .unwrap()
    }

    /// The next so many messages that come, in order of offset.
    pub(crate) async fn take(&mut self, many: usize) -> Vec<i64> {
        let mut offsets = Vec::with_capacity(many);
        for nth in 0..many {
            let what = format!("handler {} of {many} to begin", nth + 1);
            offsets.push(within(&what, self.came.recv()).await.unwrap());
        }
        offsets.sort_unstable();
        offsets
    }

    /// Who else comes, until no handler is left that could.
    pub(crate) async fn rest(&mut self) -> Vec<i64> {
        let mut rest = Vec::new();
        while let Some(offset) = within("the last handler to go", self.came.recv()).await {
            rest.push(offset);
        }
        rest
    }

    /// Whether anything came that was not asked for.
    pub(crate) fn nothing_else(&mut self) -> bool {
        self.came.try_recv().is_err()
    }

    /// Lets so many through.
    pub(crate) fn let_go(&self, many: usize) {
        self.open.add_permits(many);
    }

    /// Lets everybody through from now on.
    pub(crate) fn let_all_go(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}
