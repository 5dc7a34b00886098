use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tokio::sync::Notify;

/// What the ends of leases are counted from, in milliseconds.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How a message in work is called back: its lease is lost, or over, or somebody cancelled it.
///
/// There is one for each message and hardly any is ever told, so it is made and asked without a lock.
#[derive(Debug, Clone, Default)]
pub(super) struct Recall(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    lost: AtomicBool,
    cancelled: AtomicBool,
    /// When the lease ends, as far as this process knows; 0 for never.
    until: AtomicU64,
    told: Notify,
}

impl Recall {
    /// For a message whose lease ends then, unless it is renewed.
    pub(super) fn at(until: Instant) -> Self {
        let recall = Self::default();
        recall.renew(until);
        recall
    }

    /// For the next message of the same run: under the same lease, and called back by itself.
    pub(super) fn next(&self) -> Self {
        let recall = Self::default();
        let until = self.0.until.load(Ordering::Relaxed);
        recall.0.until.store(until, Ordering::Relaxed);
        recall
    }

    /// Notes until when the lease was extended.
    pub(super) fn renew(&self, until: Instant) {
        self.0.until.store(since_epoch(until), Ordering::Relaxed);
    }

    /// Whether others may have the message by now: the lease is lost, or over by this process's own clock. One that stood still
    /// knows it by that alone, before the database can tell.
    pub(super) fn is_gone(&self) -> bool {
        let until = self.0.until.load(Ordering::Relaxed);
        self.is_lost() || (until != 0 && since_epoch(Instant::now()) >= until)
    }

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

fn since_epoch(moment: Instant) -> u64 {
    let since = moment.saturating_duration_since(*EPOCH).as_millis();
    u64::try_from(since).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

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

    #[test]
    fn a_lease_is_over_when_its_time_is_unless_it_was_renewed() {
        let now = Instant::now();
        assert!(!Recall::default().is_gone());
        let recall = Recall::at(now);
        assert!(recall.is_gone() && !recall.is_lost());
        assert!(recall.next().is_gone());
        let held = recall.clone();
        recall.renew(now + Duration::from_secs(60));
        assert!(!held.is_gone() && !held.next().is_gone());
    }
}
