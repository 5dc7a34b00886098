/// How much time in slots a handler has had, for its weight.
///
/// The time of messages still in work counts as it passes, as in the fair scheduler of an operating system:
/// one that holds all slots for an hour has had that hour before it ends.
#[derive(Debug)]
pub(super) struct Share {
    weight: u32,
    /// Time of ended turns, in nanoseconds.
    ended: u64,
    running: u64,
    /// The sum of the moments at which the running turns began.
    begun: u128,
}

impl Share {
    pub(super) fn new(weight: u32) -> Self {
        Self {
            weight: weight.max(1),
            ended: 0,
            running: 0,
            begun: 0,
        }
    }

    pub(super) fn begin(&mut self, now: u64) {
        self.running += 1;
        self.begun += u128::from(now);
    }

    pub(super) fn end(&mut self, since: u64, now: u64) {
        self.running -= 1;
        self.begun -= u128::from(since);
        self.ended = self.ended.saturating_add(now.saturating_sub(since));
    }

    pub(super) fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Time used until now, divided by the weight.
    pub(super) fn used(&self, now: u64) -> u64 {
        let running = u128::from(self.running) * u128::from(now);
        let running = running.saturating_sub(self.begun);
        let used = (u128::from(self.ended) + running) / u128::from(self.weight);
        u64::try_from(used).unwrap_or(u64::MAX)
    }

    /// Counts no less than this as used. For one that runs nothing at the moment.
    pub(super) fn catch_up(&mut self, used: u64) {
        self.ended = self.ended.max(used.saturating_mul(u64::from(self.weight)));
    }
}
