use std::time::{Duration, Instant};

use hdrhistogram::{CreationError, Histogram};

/// How far back the percentiles look.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// One slice a second, so that each second the oldest is forgotten.
const SLICES: u64 = 30;
/// Longer ones count as this: a day, in microseconds.
const LONGEST: u64 = 86_400_000_000;

/// The latencies of the last thirty seconds, in memory that does not grow with how many there are: a histogram
/// of three digits for each second.
#[derive(Debug)]
pub(super) struct Latencies {
    start: Instant,
    slices: Vec<Slice>,
    /// All of them together, when they are asked for.
    all: Histogram<u32>,
}

#[derive(Debug)]
struct Slice {
    second: u64,
    latencies: Histogram<u32>,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

impl Latencies {
    pub(super) fn new(start: Instant) -> Result<Self, CreationError> {
        let empty = Histogram::new_with_bounds(1, LONGEST, 3)?;
        let slice = |second| Slice {
            second,
            latencies: empty.clone(),
        };
        Ok(Self {
            start,
            slices: (0..SLICES).map(slice).collect(),
            all: empty,
        })
    }

    /// Adds one, in microseconds.
    pub(super) fn record(&mut self, now: Instant, micros: u64) {
        let second = self.second(now);
        let place = usize::try_from(second % SLICES).unwrap_or_default();
        let Some(slice) = self.slices.get_mut(place) else {
            return;
        };
        if slice.second != second {
            slice.second = second;
            slice.latencies.reset();
        }
        slice.latencies.saturating_record(micros.max(1));
    }

    /// The percentiles, if there is anything to take them of.
    pub(super) fn percentiles(&mut self, now: Instant) -> Option<Percentiles> {
        let second = self.second(now);
        self.all.reset();
        for slice in &self.slices {
            if second.saturating_sub(slice.second) < SLICES {
                // Fails for values that are out of bounds, and both have the same.
                let _ = self.all.add(&slice.latencies);
            }
        }
        if self.all.is_empty() {
            return None;
        }
        let at = |quantile| self.all.value_at_quantile(quantile) as f64 / 1000.0;
        Some(Percentiles {
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
        })
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Latencies, WINDOW};

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let start = Instant::now();
        let mut latencies = Latencies::new(start).unwrap();
        assert_eq!(latencies.percentiles(start), None);
        for ms in 1..=1000_u64 {
            let then = start + Duration::from_millis(ms * 20);
            latencies.record(then, ms * 1000);
        }
        let found = latencies
            .percentiles(start + Duration::from_secs(20))
            .unwrap();
        for (found, right) in [(found.p50, 500.0), (found.p95, 950.0), (found.p99, 990.0)] {
            assert!((found - right).abs() <= right / 1000.0, "{found} {right}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let start = Instant::now();
        let mut latencies = Latencies::new(start).unwrap();
        latencies.record(start, 5_000_000);
        let late = start + Duration::from_secs(25);
        latencies.record(late, 2000);
        let both = latencies.percentiles(late).unwrap();
        assert!(both.p99 > 4990.0, "{both:?}");
        let one = latencies.percentiles(start + WINDOW).unwrap();
        assert!(one.p99 < 2.01, "{one:?}");
        assert_eq!(latencies.percentiles(late + WINDOW), None);
        // The slice that comes after thirty seconds takes the place of the first.
        latencies.record(late + WINDOW, 3000);
        let new = latencies.percentiles(late + WINDOW).unwrap();
        assert!(new.p50 > 2.9, "{new:?}");
    }

    #[test]
    fn no_latency_is_too_long() {
        let start = Instant::now();
        let mut latencies = Latencies::new(start).unwrap();
        latencies.record(start, u64::MAX);
        latencies.record(start, 0);
        assert!(latencies.percentiles(start).unwrap().p99 > 80_000_000.0);
    }
}
