use tokio::time::Instant;

/// How many messages are owed: the load that is offered, less what is on its way.
///
/// It grows with the time that has really passed, however late or slow the producer is, and what a failed publish
/// has not brought is owed again. So a pause, of the machine or of the database, is caught up with.
#[derive(Debug)]
pub(super) struct Offer {
    owed: f64,
    since: Instant,
}

impl Offer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            owed: 0.0,
            since: now,
        }
    }

    /// Adds what the time since the last call has brought, at so many a second.
    pub(super) fn pass(&mut self, now: Instant, rate: f64) {
        let passed = now.saturating_duration_since(self.since);
        self.since = now;
        self.owed += rate * passed.as_secs_f64();
    }

    pub(super) fn add(&mut self, messages: u64) {
        self.owed += messages as f64;
    }

    /// Forgets what was owed.
    pub(super) fn set(&mut self, messages: u64) {
        self.owed = messages as f64;
    }

    /// Takes whole messages, up to so many; 0 if none is owed.
    pub(super) fn take(&mut self, most: u64) -> u64 {
        // Never negative, and what is too much for an integer is more than `most`.
        let taken = (self.owed.floor() as u64).min(most);
        self.owed -= taken as f64;
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Offer;

    #[test]
    fn time_is_credited_as_it_passes() {
        let start = Instant::now();
        let mut offer = Offer::new(start);
        let mut taken = 0;
        let mut now = start;
        // Ticks of all lengths, one of them very long.
        for nth in 0..1000_u32 {
            let long = if nth == 500 { 10_000 } else { 0 };
            now += Duration::from_millis(u64::from(7 + nth % 31 + long));
            offer.pass(now, 800.0);
            loop {
                match offer.take(128) {
                    0 => break,
                    some => taken += some,
                }
            }
        }
        let owed = 800.0 * (now - start).as_secs_f64();
        assert!((owed - taken as f64).abs() < 1.0, "{taken} of {owed}");
    }

    #[test]
    fn what_fails_is_owed_again() {
        let mut offer = Offer::new(Instant::now());
        offer.add(200);
        assert_eq!(
            (offer.take(128), offer.take(128), offer.take(128)),
            (128, 72, 0)
        );
        offer.add(72);
        assert_eq!(offer.take(128), 72);
        offer.set(3);
        assert_eq!(offer.take(128), 3);
    }
}
