use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How a worker ends: it stops, and when the grace period is over, everything in work is cut off.
#[derive(Debug, Default)]
pub(super) struct Ending {
    begun: OnceLock<Instant>,
    cut: CancellationToken,
}

/// Cuts off what is in work when it is dropped, as the worker is that is not waited for.
pub(super) struct CutOnDrop(pub(super) Arc<Ending>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

impl Ending {
    /// The worker stops.
    pub(super) fn begin(&self) {
        let _ = self.begun.set(Instant::now());
    }

    /// The grace period is over.
    pub(super) fn cut(&self) {
        self.begin();
        self.cut.cancel();
    }

    /// Whether it is over. Asked for each message, and by all runners: a look that takes no lock comes first.
    pub(super) fn is_cut(&self) -> bool {
        self.begun.get().is_some() && self.cut.is_cancelled()
    }

    /// Waits until it is over. Returns how long it was.
    pub(super) async fn cut_off(&self) -> Duration {
        self.cut.cancelled().await;
        self.begun.get().map(Instant::elapsed).unwrap_or_default()
    }
}
