use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::duration::{DurationError, parse_duration};

/// How long a failed delivery waits before its next attempt.
///
/// The wait doubles from `initial` until it reaches `max`:
/// after the first attempt `initial`, after the second twice that, and so on.
///
/// As text it is `"2s..5m"`. A single duration, `"2s"`, is the first wait,
/// and the longest is then the default ten minutes, or `initial` if that is longer.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vulkan_names::Backoff;
///
/// let backoff: Backoff = "2s..5m".parse()?;
/// assert_eq!(backoff.delay_after(1), Duration::from_secs(2));
/// assert_eq!(backoff.delay_after(3), Duration::from_secs(8));
/// assert_eq!(backoff.delay_after(1_000), Duration::from_secs(300));
/// # Ok::<(), vulkan_names::BackoffError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backoff {
    /// The wait after the first attempt.
    pub initial: Duration,
    /// The longest wait. Below `initial` it caps that too.
    pub max: Duration,
}

impl Backoff {
    /// The backoff of a group that asks for none: `2s..10m`.
    pub const DEFAULT: Self = Self::new(Duration::from_secs(2), Duration::from_secs(600));

    /// A backoff that doubles from `initial` up to `max`.
    pub const fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max }
    }

    /// The wait after attempt number `attempt`, of which the first is 1.
    pub fn delay_after(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.max)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for Backoff {
    type Err = BackoffError;

    fn from_str(text: &str) -> Result<Self, BackoffError> {
        let Some((initial, max)) = text.split_once("..") else {
            let initial = positive(text)?;
            return Ok(Self::new(initial, initial.max(Self::DEFAULT.max)));
        };
        let backoff = Self::new(positive(initial)?, positive(max)?);
        if backoff.initial > backoff.max {
            return Err(BackoffError::Reversed {
                initial: initial.into(),
                max: max.into(),
            });
        }
        Ok(backoff)
    }
}

fn positive(text: &str) -> Result<Duration, BackoffError> {
    match parse_duration(text)? {
        Duration::ZERO => Err(BackoffError::Zero),
        duration => Ok(duration),
    }
}

/// Why a text is not a backoff.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackoffError {
    /// One of the durations cannot be read.
    Duration(DurationError),
    /// One of the durations is zero, so retries would spin.
    Zero,
    /// The first wait is longer than the longest.
    Reversed {
        /// The first wait as written.
        initial: String,
        /// The longest wait as written.
        max: String,
    },
}

impl fmt::Display for BackoffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The level below says it all, so it is shown and not offered again as a source.
            Self::Duration(error) => error.fmt(f),
            Self::Zero => f.write_str("backoff is zero"),
            Self::Reversed { initial, max } => write!(
                f,
                "backoff begins with {initial}, which is longer than its maximum {max}",
            ),
        }
    }
}

impl Error for BackoffError {}

impl From<DurationError> for BackoffError {
    fn from(error: DurationError) -> Self {
        Self::Duration(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn parses() {
        let table = [
            ("2s..5m", Ok(Backoff::new(secs(2), secs(300)))),
            ("2s..2s", Ok(Backoff::new(secs(2), secs(2)))),
            ("2s", Ok(Backoff::new(secs(2), secs(600)))),
            ("1h", Ok(Backoff::new(secs(3600), secs(3600)))),
            ("0s..5m", Err(BackoffError::Zero)),
            ("0ms", Err(BackoffError::Zero)),
            ("", Err(DurationError::Empty.into())),
            ("..5m", Err(DurationError::Empty.into())),
            ("2s..", Err(DurationError::Empty.into())),
            (
                "5m..2s",
                Err(BackoffError::Reversed {
                    initial: "5m".into(),
                    max: "2s".into(),
                }),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Backoff>(), expected, "{text}");
        }
    }

    #[test]
    fn doubles_and_saturates() {
        let waits: Vec<_> = (1..=4).map(|n| Backoff::DEFAULT.delay_after(n)).collect();
        assert_eq!(waits, [secs(2), secs(4), secs(8), secs(16)]);
        assert_eq!(Backoff::DEFAULT.delay_after(u32::MAX), secs(600));
        let endless = Backoff::new(secs(u64::MAX), Duration::MAX);
        assert_eq!(endless.delay_after(u32::MAX), Duration::MAX);
    }
}
