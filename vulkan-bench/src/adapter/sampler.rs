use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use tokio::time::{Instant, sleep};

use super::config::Config;
use super::depth::Depth;
use super::latency::{Percentiles, WINDOW};
use super::lines::{Line, Lines, System};
use super::meters::{Counts, Meters};
use super::stop::Stop;

/// Says how it gets on, at each whole multiple of `SAMPLE_EVERY_S` of the wall clock, until it is told to stop. The first
/// window begins at the first of them, so that all are whole.
pub(super) async fn sample(
    config: Arc<Config>,
    meters: Arc<Meters>,
    depth: Arc<Depth>,
    lines: Lines,
    stop: Stop,
) {
    let mut last: Option<Tick> = None;
    loop {
        let due = next_boundary(since_epoch(), config.sample_every);
        tokio::select! {
            () = wait_until(due) => {}
            () = stop.asked() => return,
        }
        let tick = Tick {
            due,
            at: Instant::now(),
            counts: meters.counts(),
        };
        if let Some(last) = &last {
            lines.send(
                &Sample {
                    config: &config,
                    meters: &meters,
                    depth: &depth,
                }
                .lines(last, &tick),
            );
        }
        last = Some(tick);
    }
}

/// A boundary, and what was counted by then.
#[derive(Debug)]
struct Tick {
    /// In seconds since 1970.
    due: i64,
    at: Instant,
    counts: Counts,
}

struct Sample<'a> {
    config: &'a Config,
    meters: &'a Meters,
    depth: &'a Depth,
}

impl Sample<'_> {
    fn lines(&self, last: &Tick, tick: &Tick) -> Vec<Line> {
        let window = (tick.due - last.due) as f64;
        let passed = (tick.at - last.at).as_secs_f64().max(0.001);
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / passed;
        let claim = self
            .meters
            .percentiles()
            .unwrap_or_else(|| self.standing_still());
        let mut metrics = vec![
            ("claim_p50_ms", claim.p50, WINDOW.as_secs_f64()),
            ("claim_p95_ms", claim.p95, WINDOW.as_secs_f64()),
            ("claim_p99_ms", claim.p99, WINDOW.as_secs_f64()),
        ];
        if self.config.produces {
            let enqueued = rate(last.counts.enqueued, tick.counts.enqueued);
            metrics.push(("enqueue_rate", enqueued, window));
        }
        let completed = rate(last.counts.completed, tick.counts.completed);
        metrics.push(("completion_rate", completed, window));
        if self.config.observes() {
            metrics.push(("queue_depth", self.depth.known() as f64, 0.0));
        }
        let t = DateTime::from_timestamp(tick.due, 0)
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Millis, true);
        let line = |(metric, value, window_s)| Line::Adapter {
            t: t.clone(),
            system: System,
            instance_id: self.config.instance,
            subject_kind: "adapter",
            subject: "",
            metric,
            value,
            window_s,
        };
        metrics.into_iter().map(line).collect()
    }

    /// Where no handler has begun for the whole window, no message has less than the age of the oldest that waits. None
    /// waits, none is late.
    fn standing_still(&self) -> Percentiles {
        let oldest = self.depth.oldest().unwrap_or_default().as_secs_f64() * 1000.0;
        Percentiles {
            p50: oldest,
            p95: oldest,
            p99: oldest,
        }
    }
}

/// The next whole multiple of so many seconds, in seconds since 1970.
fn next_boundary(now: Duration, every: i64) -> i64 {
    let now = i64::try_from(now.as_secs()).unwrap_or_default();
    (now / every + 1) * every
}

/// Waits for a time of the wall clock, which may be set meanwhile: so it is looked at often.
async fn wait_until(due: i64) {
    let due = Duration::from_secs(u64::try_from(due).unwrap_or_default());
    loop {
        let left = due.saturating_sub(since_epoch());
        if left.is_zero() {
            return;
        }
        sleep(left.min(Duration::from_secs(1))).await;
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::next_boundary;

    #[test]
    fn a_boundary_is_a_multiple_that_is_still_to_come() {
        for (now, every, next) in [
            (0.0, 5, 5),
            (4.999, 5, 5),
            (5.0, 5, 10),
            (1999.3, 10, 2000),
            (3.5, 1, 4),
        ] {
            assert_eq!(next_boundary(Duration::from_secs_f64(now), every), next);
        }
    }
}
