use std::time::{Duration, Instant};

/// How much a group may hold: enough to keep its slots busy, no more than can start within the
/// settle bound.
///
/// The target doubles while full batches are worked off faster than they are claimed, and halves
/// when messages had to be given back unstarted.
#[derive(Debug)]
pub(super) struct Pace {
    slots: usize,
    target: usize,
    /// How much was held after the last claim.
    full: usize,
    claimed_at: Option<Instant>,
    claimed_before: Option<Instant>,
}

impl Pace {
    /// Holding more gains nothing and only takes memory.
    const MOST: usize = 6000;
    /// A larger claim gains nothing. As much again is held already, so that there is work while it is under way.
    pub(super) const CLAIM: usize = Self::MOST / 2;
    /// Batches that follow each other faster than this could have been larger.
    const FAST: Duration = Duration::from_millis(100);
    /// With so many messages a second it costs less to claim again soon than to be told of each.
    const BUSY: u32 = 800;
    const NAP: Duration = Duration::from_millis(2);

    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            target: slots,
            full: slots,
            claimed_at: None,
            claimed_before: None,
        }
    }

    /// How many messages to claim, given how many are held. 0: none for now.
    pub(super) fn room(&self, held: usize) -> usize {
        // Half of what was there, not of the target: else each doubling would be reason for the next.
        if held < self.slots || held <= self.full / 2 {
            let room = self.target.saturating_sub(held).max(1);
            room.min(Self::CLAIM.max(self.slots))
        } else {
            0
        }
    }

    /// The same for a group with limits: no more than can begin at once, since what waits here keeps room from
    /// others.
    pub(super) fn limited_room(&self, held: usize) -> usize {
        self.slots.saturating_sub(held)
    }

    /// A claim of `asked` messages, begun at a moment while so many were held, gave `got`.
    pub(super) fn claimed(
        &mut self,
        held: usize,
        asked: usize,
        got: usize,
        begun: Instant,
        now: Instant,
    ) {
        self.full = held + got;
        // The time of the claim itself does not count: where many claim at once it says nothing of the handlers.
        let fast = self
            .claimed_at
            .is_some_and(|before| begun.saturating_duration_since(before) < Self::FAST);
        if fast && got >= asked && got * 2 >= self.target {
            self.target = (self.target * 2).min(Self::MOST.max(self.slots));
        }
        self.claimed_before = self.claimed_at.replace(now);
    }

    /// How long to wait before the next claim, after one that came to the end of the log: while so many messages come
    /// that every claim finds some, it need not be told of each. `None`: be told.
    pub(super) fn nap(&self, got: usize, now: Instant) -> Option<Duration> {
        let since = now - self.claimed_before?;
        (since * Self::BUSY <= Duration::from_secs(1) * u32::try_from(got).ok()?)
            .then_some(Self::NAP)
    }

    /// Messages could not start in time.
    pub(super) fn too_much(&mut self) {
        self.target = (self.target / 2).max(self.slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_speed_and_shrinks_when_late() {
        let start = Instant::now();
        let mut pace = Pace::new(10);
        assert_eq!(pace.room(0), 10);
        assert_eq!(pace.room(9), 1);
        assert_eq!(pace.room(10), 0);

        pace.claimed(0, 10, 10, start, start);
        for millis in 1..20 {
            let now = start + Duration::from_millis(millis);
            pace.claimed(0, pace.room(0), pace.room(0), now, now);
        }
        assert_eq!(pace.room(0), Pace::CLAIM);
        let now = start + Duration::from_millis(20);
        pace.claimed(Pace::MOST / 2, Pace::CLAIM, Pace::CLAIM, now, now);
        assert_eq!(pace.room(Pace::MOST / 2), Pace::CLAIM);
        assert_eq!(pace.room(Pace::MOST / 2 + 1), 0);

        assert_eq!(pace.limited_room(0), 10);
        assert_eq!(pace.limited_room(11), 0);
        for _ in 0..20 {
            pace.too_much();
        }
        assert_eq!(pace.room(0), 10);
    }

    #[test]
    fn does_not_grow_before_work_is_done() {
        let start = Instant::now();
        let mut pace = Pace::new(8);
        pace.claimed(0, 8, 8, start, start);
        // All of it was handled at once, which is reason to grow, but once.
        let mut held = 0;
        for _ in 0..20 {
            let room = pace.room(held);
            if room > 0 {
                pace.claimed(held, room, room, start, start);
                held += room;
            }
        }
        assert_eq!(held, 8, "nothing more has been handled");
    }

    #[test]
    fn slow_claims_let_batches_grow() {
        let start = Instant::now();
        let mut pace = Pace::new(10);
        pace.claimed(0, 10, 10, start, start);
        let begun = start + Duration::from_millis(5);
        pace.claimed(0, 10, 10, begun, begun + Duration::from_secs(1));
        assert_eq!(pace.room(0), 20);
    }

    #[test]
    fn much_that_comes_is_not_told_of() {
        let start = Instant::now();
        let mut pace = Pace::new(10);
        let millis = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.nap(1, start), None);
        for at in [0, 5] {
            pace.claimed(0, 10, 1, millis(at), millis(at));
        }
        assert_eq!(pace.nap(1, millis(5)), None, "200 a second");
        assert_eq!(pace.nap(5, millis(5)), Some(Pace::NAP), "1,000 a second");
    }

    #[test]
    fn slow_batches_do_not_grow() {
        let start = Instant::now();
        let mut pace = Pace::new(10);
        pace.claimed(0, 10, 10, start, start);
        let later = start + Duration::from_secs(1);
        pace.claimed(0, 10, 10, later, later);
        assert_eq!(pace.room(0), 10);
    }
}
