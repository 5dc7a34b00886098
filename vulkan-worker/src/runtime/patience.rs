use std::time::Duration;

use rand::RngExt;

/// Capped exponential delays with jitter, for calls to a database that is away.
#[derive(Debug)]
pub(super) struct Patience {
    next: Duration,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(3);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The connection proved good.
    pub(super) fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// The delay before the next attempt. Half of it is random, so that a fleet does not come back as one.
    pub(super) fn delay(&mut self) -> Duration {
        let delay = self.next.mul_f64(rand::rng().random_range(0.5..1.0));
        self.next = (self.next * 2).min(Self::LONGEST);
        delay
    }
}

/// A duration give or take a fifth, so that workers do not fall into step.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration
        .min(LONGEST)
        .mul_f64(rand::rng().random_range(0.8..1.2))
}

/// A delay give or take a tenth, as the database spreads its own, so that what failed together does
/// not come back together.
pub(super) fn spread(duration: Duration) -> Duration {
    duration
        .min(LONGEST)
        .mul_f64(rand::rng().random_range(0.9..1.1))
}

/// As good as never. What is given or taken from `Duration::MAX` would overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_cap_and_begin_anew() {
        let mut patience = Patience::new();
        for _ in 0..20 {
            assert!(patience.delay() <= Patience::LONGEST);
        }
        assert!(patience.delay() >= Patience::LONGEST / 2);
        patience.reset();
        assert!(patience.delay() <= Patience::FIRST);
    }
}
