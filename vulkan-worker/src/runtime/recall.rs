use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// How a message in work is called back: its lease is lost, or somebody cancelled it.
///
/// There is one for each message and hardly any is ever told, so it is made and asked without a lock.
#[derive(Debug, Clone, Default)]
pub(super) struct Recall(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    lost: AtomicBool,
    cancelled: AtomicBool,
    told: Notify,
}

impl Recall {
    /// Tells that the lease is lost.
    pub(super) fn lose(&self) {
        self.tell(&self.0.lost);
    }

    /// Tells that the message is cancelled.
    pub(super) fn cancel(&self) {
        self.tell(&self.0.cancelled);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.lost.load(Ordering::Acquire)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Waits until the lease is lost.
    pub(super) async fn lost(&self) {
        self.wait(&self.0.lost).await;
    }

    /// Waits until the message is cancelled.
    pub(super) async fn cancelled(&self) {
        self.wait(&self.0.cancelled).await;
    }

    fn tell(&self, sign: &AtomicBool) {
        sign.store(true, Ordering::Release);
        self.0.told.notify_waiters();
    }

    async fn wait(&self, sign: &AtomicBool) {
        loop {
            // Hears from here on, so that nothing is missed after the look at the sign.
            let told = self.0.told.notified();
            if sign.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn each_sign_wakes_those_who_wait_for_it() {
        let recall = Recall::default();
        let mut lost = pin!(recall.lost());
        let mut cancelled = pin!(recall.cancelled());
        assert!(lost.as_mut().now_or_never().is_none());
        assert!(cancelled.as_mut().now_or_never().is_none());
        recall.clone().cancel();
        assert!(lost.as_mut().now_or_never().is_none());
        assert!(cancelled.now_or_never().is_some());
        assert!(recall.is_cancelled() && !recall.is_lost());
        recall.lose();
        assert!(lost.now_or_never().is_some());
        assert!(recall.lost().now_or_never().is_some(), "told before");
    }
}
