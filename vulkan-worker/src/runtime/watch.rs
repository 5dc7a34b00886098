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

/// The runners, watched from outside: a handler that blocks its thread lets nothing beside it in its task find
/// that out.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Counted up by the watch itself, and noted by each poll: cheaper than a clock.
    round: Arc<AtomicU64>,
    next: AtomicU64,
    runners: Mutex<HashMap<u64, Arc<Post>>>,
}

/// One runner, watched until this is dropped.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    post: Arc<Post>,
    round: Arc<AtomicU64>,
    /// Where it is to be struck off.
    watch: Option<(&'a Watch, u64)>,
}

/// Where a runner is.
#[derive(Debug)]
struct Post {
    stream: Arc<str>,
    group: Arc<str>,
    /// The handler it calls, and the message: of the last call, if none is under way.
    at: Mutex<(Arc<str>, i64)>,
    /// The round in which the poll under way began, counted from one; zero while none is.
    polled: AtomicU64,
    reported: AtomicBool,
}

/// A handler that blocks its thread.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) stream: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) handler: Arc<str>,
    pub(super) offset: i64,
}

impl Watched<'static> {
    /// One that nobody watches.
    pub(super) fn alone() -> Self {
        Self {
            post: Post::new(&"".into(), &"".into()),
            round: Arc::default(),
            watch: None,
        }
    }
}

impl Watched<'_> {
    /// A handler's future, watched until it ends or is dropped.
    pub(super) async fn over<T>(
        &self,
        handler: &Arc<str>,
        offset: i64,
        work: impl Future<Output = T>,
    ) -> T {
        let post = &self.post;
        post.reported.store(false, Ordering::Relaxed);
        post.come_to(handler, offset);
        let _left = Left(post);
        let mut work = pin!(work);
        poll_fn(|context| {
            let round = self.round.load(Ordering::Relaxed) + 1;
            post.polled.store(round, Ordering::Relaxed);
            let answer = work.as_mut().poll(context);
            post.polled.store(0, Ordering::Relaxed);
            answer
        })
        .await
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Some((watch, id)) = self.watch {
            watch.all().remove(&id);
        }
    }
}

/// Leaves the post, however the handler ends: it may panic in mid-poll.
struct Left<'a>(&'a Post);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.polled.store(0, Ordering::Relaxed);
    }
}

impl Post {
    fn new(stream: &Arc<str>, group: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            stream: Arc::clone(stream),
            group: Arc::clone(group),
            at: Mutex::new(("".into(), 0)),
            polled: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        })
    }

    fn at(&self) -> MutexGuard<'_, (Arc<str>, i64)> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn come_to(&self, handler: &Arc<str>, offset: i64) {
        let mut at = self.at();
        at.1 = offset;
        // Mostly it is the same, and counting it once more is what all runners would do at once.
        if !Arc::ptr_eq(&at.0, handler) {
            at.0 = Arc::clone(handler);
        }
    }

    fn is_stuck(&self, round: u64) -> bool {
        let polled = self.polled.load(Ordering::Relaxed);
        polled > 0 && round + 1 >= polled + u64::from(STUCK)
    }

    fn stuck(&self) -> Stuck {
        let (handler, offset) = self.at().clone();
        Stuck {
            stream: Arc::clone(&self.stream),
            group: Arc::clone(&self.group),
            handler,
            offset,
        }
    }
}

impl Watch {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Arc<Post>>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A runner for a group, from now on.
    pub(super) fn over(&self, stream: &Arc<str>, group: &Arc<str>) -> Watched<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let post = Post::new(stream, group);
        self.all().insert(id, Arc::clone(&post));
        Watched {
            post,
            round: Arc::clone(&self.round),
            watch: Some((self, id)),
        }
    }

    /// How many handlers block their thread.
    pub(super) fn stuck(&self) -> usize {
        let round = self.round.load(Ordering::Relaxed);
        let all = self.all();
        all.values().filter(|post| post.is_stuck(round)).count()
    }

    /// One round, to be called once in [`ROUND`]: the handlers that block their thread, each once.
    pub(super) fn look(&self) -> Vec<Stuck> {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        self.all()
            .values()
            .filter(|post| post.is_stuck(round) && !post.reported.swap(true, Ordering::Relaxed))
            .map(|post| post.stuck())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn name() -> Arc<str> {
        "x".into()
    }

    #[test]
    fn what_waits_is_not_stuck_however_long() {
        let watch = Watch::default();
        let watched = watch.over(&name(), &name());
        let name = name();
        let mut waits = Box::pin(watched.over(&name, 7, std::future::pending::<()>()));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!((0..20).all(|_| watch.look().is_empty()));
        assert_eq!(watch.stuck(), 0);
        drop(waits);
        assert_eq!(watched.post.polled.load(Ordering::Relaxed), 0);
        drop(watched);
        assert!(watch.all().is_empty());
    }

    #[test]
    fn what_does_not_come_back_from_a_poll_is_stuck() {
        let watch = Watch::default();
        let watched = watch.over(&name(), &name());
        for offset in [7, 8] {
            let name = name();
            let counted = watched.over(&name, offset, async {
                // Rounds go by while this poll lasts.
                let before = (0..STUCK - 1).map(|_| {
                    watch.look();
                    watch.stuck()
                });
                let before: Vec<usize> = before.collect();
                let stuck: Vec<_> = watch.look().iter().map(|one| one.offset).collect();
                assert_eq!(stuck, [offset]);
                assert!(watch.look().is_empty(), "told once");
                (before, watch.stuck())
            });
            let (before, after) = counted.now_or_never().unwrap();
            assert!(before.iter().all(|stuck| *stuck == 0), "{before:?}");
            assert_eq!(after, 1);
            assert_eq!(watch.stuck(), 0, "it ended after all");
        }
    }

    #[test]
    fn a_panic_leaves_the_post() {
        let watch = Watch::default();
        let watched = watch.over(&name(), &name());
        let name = name();
        let panics = watched.over(&name, 7, async { panic!("on purpose") });
        let caught = std::panic::AssertUnwindSafe(panics).catch_unwind();
        assert!(caught.now_or_never().unwrap().is_err());
        assert_eq!(watched.post.polled.load(Ordering::Relaxed), 0);
    }
}
