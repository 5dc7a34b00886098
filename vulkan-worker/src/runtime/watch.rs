use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the watch looks.
pub(super) const ROUND: Duration = Duration::from_secs(1);
/// A handler that has not come back from one poll for so many rounds blocks its thread.
pub(super) const STUCK: u32 = 5;

/// The handlers in work, watched from outside: one that blocks its thread lets nothing beside it in
/// its task find that out.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Counted up by the watch itself, and noted by each poll: cheaper than a clock.
    round: AtomicU64,
    next: AtomicU64,
    watched: Mutex<HashMap<u64, Arc<Watched>>>,
}

/// One handler in work.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stream: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) handler: Arc<str>,
    pub(super) offset: i64,
    /// The round in which the poll under way began, counted from one; zero while none is.
    polled: AtomicU64,
    reported: AtomicBool,
}

impl Watched {
    pub(super) fn new(
        stream: &Arc<str>,
        group: &Arc<str>,
        handler: &Arc<str>,
        offset: i64,
    ) -> Arc<Self> {
        Arc::new(Self {
            stream: Arc::clone(stream),
            group: Arc::clone(group),
            handler: Arc::clone(handler),
            offset,
            polled: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        })
    }
}

/// Ends the watch over a handler, however it ends.
#[derive(Debug)]
struct Ends<'a> {
    watch: &'a Watch,
    id: u64,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.watch.all().remove(&self.id);
    }
}

impl Watch {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Arc<Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handler's future, watched until it ends or is dropped.
    pub(super) async fn over<T>(&self, watched: Arc<Watched>, work: impl Future<Output = T>) -> T {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.all().insert(id, Arc::clone(&watched));
        let _ends = Ends { watch: self, id };
        let mut work = pin!(work);
        poll_fn(|context| {
            let round = self.round.load(Ordering::Relaxed) + 1;
            watched.polled.store(round, Ordering::Relaxed);
            let answer = work.as_mut().poll(context);
            watched.polled.store(0, Ordering::Relaxed);
            answer
        })
        .await
    }

    /// How many handlers block their thread.
    pub(super) fn stuck(&self) -> usize {
        let round = self.round.load(Ordering::Relaxed);
        let all = self.all();
        all.values().filter(|one| is_stuck(one, round)).count()
    }

    /// One round, to be called once in [`ROUND`]: the handlers that block their thread, each once.
    pub(super) fn look(&self) -> Vec<Arc<Watched>> {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        self.all()
            .values()
            .filter(|one| is_stuck(one, round) && !one.reported.swap(true, Ordering::Relaxed))
            .cloned()
            .collect()
    }
}

fn is_stuck(one: &Watched, round: u64) -> bool {
    let polled = one.polled.load(Ordering::Relaxed);
    polled > 0 && round + 1 >= polled + u64::from(STUCK)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn watched() -> Arc<Watched> {
        let name: Arc<str> = "x".into();
        Watched::new(&name, &name, &name, 7)
    }

    #[test]
    fn what_waits_is_not_stuck_however_long() {
        let watch = Watch::default();
        let mut waits = Box::pin(watch.over(watched(), std::future::pending::<()>()));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!((0..20).all(|_| watch.look().is_empty()));
        assert_eq!(watch.all().len(), 1);
        assert_eq!(watch.stuck(), 0);
        drop(waits);
        assert!(watch.all().is_empty());
    }

    #[test]
    fn what_does_not_come_back_from_a_poll_is_stuck() {
        let watch = Watch::default();
        let counted = watch.over(watched(), async {
            // Rounds go by while this poll lasts.
            let before = (0..STUCK - 1).map(|_| {
                watch.look();
                watch.stuck()
            });
            let before: Vec<usize> = before.collect();
            assert_eq!(watch.look().len(), 1);
            assert!(watch.look().is_empty(), "told once");
            (before, watch.stuck())
        });
        let (before, after) = counted.now_or_never().unwrap();
        assert!(before.iter().all(|stuck| *stuck == 0), "{before:?}");
        assert_eq!(after, 1);
        assert_eq!(watch.stuck(), 0, "it ended after all");
    }
}
