use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::backoff::{Backoff, BackoffError};
use crate::duration::{DurationError, parse_duration};

/// When a group whose attempts fail rests, for how long, and how it tries again.
///
/// As text it is `"50% of 20 in 1m"`: it opens when at least half of at least 20 attempts that ended within a
/// minute failed. What may follow: `", pause 30s..10m"`, how long it stays open, at first and at most, since
/// the pause doubles each time it opens again; `", probe 3"`, how many messages are tried after the pause, all
/// of which must succeed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vulkan_names::Breaker;
///
/// let breaker: Breaker = "50% of 20 in 1m, pause 30s..10m, probe 1".parse()?;
/// assert_eq!(breaker, Breaker::DEFAULT);
///
/// let strict: Breaker = "10% of 100 in 30s, pause 1m".parse()?;
/// assert_eq!(strict.window, Duration::from_secs(30));
/// # Ok::<(), vulkan_names::BreakerError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Breaker {
    /// It opens when so many of a hundred attempts failed, 1 to 100, …
    pub failure_percent: u32,
    /// … of at least so many …
    pub min_attempts: u32,
    /// … that ended within so long.
    pub window: Duration,
    /// How long it stays open the first time.
    pub pause: Duration,
    /// How long at most: each time it opens again the pause doubles.
    pub max_pause: Duration,
    /// How many messages are tried after a pause. When so many have succeeded it closes.
    pub probes: u32,
}

impl Breaker {
    /// `50% of 20 in 1m, pause 30s..10m, probe 1`.
    pub const DEFAULT: Self = Self {
        failure_percent: 50,
        min_attempts: 20,
        window: Duration::from_secs(60),
        pause: Duration::from_secs(30),
        max_pause: Duration::from_secs(600),
        probes: 1,
    };
}

impl Default for Breaker {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for Breaker {
    type Err = BreakerError;

    fn from_str(text: &str) -> Result<Self, BreakerError> {
        let form = || BreakerError::Form { text: text.into() };
        let mut clauses = text.split(',').map(str::trim);
        let condition: Vec<&str> = clauses.next().unwrap_or_default().split(' ').collect();
        let &[percent, "of", attempts, "in", window] = condition.as_slice() else {
            return Err(form());
        };
        let percent = percent.strip_suffix('%').ok_or_else(form)?;
        let mut breaker = Self {
            failure_percent: number(percent).ok_or_else(form)?,
            min_attempts: number(attempts).ok_or_else(form)?,
            window: parse_duration(window)?,
            ..Self::DEFAULT
        };
        let mut next = clauses.next();
        if let Some(pause) = next.and_then(|clause| clause.strip_prefix("pause ")) {
            let pauses: Backoff = pause.parse()?;
            (breaker.pause, breaker.max_pause) = (pauses.initial, pauses.max);
            next = clauses.next();
        }
        if let Some(probes) = next.and_then(|clause| clause.strip_prefix("probe ")) {
            breaker.probes = number(probes).ok_or_else(form)?;
            next = clauses.next();
        }
        if next.is_some() {
            return Err(form());
        }
        breaker.check()?;
        Ok(breaker)
    }
}

impl Breaker {
    /// Checks what its text cannot say otherwise.
    ///
    /// # Errors
    ///
    /// If a number or a time is out of its range.
    pub fn check(&self) -> Result<(), BreakerError> {
        let rules = [
            (
                (1..=100).contains(&self.failure_percent),
                "the share of failures is from 1% to 100%",
            ),
            (self.min_attempts > 0, "the number of attempts is zero"),
            (!self.window.is_zero(), "the window is zero"),
            (!self.pause.is_zero(), "the pause is zero"),
            (
                self.max_pause >= self.pause,
                "the first pause is longer than the longest",
            ),
            (self.probes > 0, "the number of probes is zero"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some(&(_, rule)) => Err(BreakerError::Range { rule }),
            None => Ok(()),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// Why something is not a breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerError {
    /// It is not written like one.
    Form {
        /// The text.
        text: String,
    },
    /// A number or a time is out of its range.
    Range {
        /// What is broken.
        rule: &'static str,
    },
    /// The window or the pause cannot be read.
    Duration(DurationError),
}

impl fmt::Display for BreakerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { text } => write!(
                f,
                "breaker {text:?} is not like \"50% of 20 in 1m\" or \"50% of 20 in 1m, pause 30s..10m, probe 1\"",
            ),
            Self::Range { rule } => write!(f, "breaker: {rule}"),
            Self::Duration(error) => error.fmt(f),
        }
    }
}

impl Error for BreakerError {}

impl From<DurationError> for BreakerError {
    fn from(error: DurationError) -> Self {
        Self::Duration(error)
    }
}

impl From<BackoffError> for BreakerError {
    fn from(error: BackoffError) -> Self {
        match error {
            BackoffError::Duration(error) => Self::Duration(error),
            BackoffError::Zero => Self::Range {
                rule: "the pause is zero",
            },
            BackoffError::Reversed { .. } => Self::Range {
                rule: "the first pause is longer than the longest",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        let secs = Duration::from_secs;
        let half = Breaker::DEFAULT;
        let table = [
            ("50% of 20 in 1m", half),
            ("50% of 20 in 1m, probe 3", Breaker { probes: 3, ..half }),
            (
                "1% of 5 in 10s, pause 1m",
                Breaker {
                    failure_percent: 1,
                    min_attempts: 5,
                    window: secs(10),
                    pause: secs(60),
                    ..half
                },
            ),
            (
                "50% of 20 in 1m,pause 5s..20s, probe 2",
                Breaker {
                    pause: secs(5),
                    max_pause: secs(20),
                    probes: 2,
                    ..half
                },
            ),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn rejects() {
        let table = [
            ("", "breaker \"\" is not like"),
            ("50 of 20 in 1m", "breaker \"50 of 20 in 1m\" is not like"),
            ("50% of 20", "breaker \"50% of 20\" is not like"),
            ("0% of 20 in 1m", "breaker: the share of failures"),
            ("101% of 20 in 1m", "breaker: the share of failures"),
            ("50% of 0 in 1m", "breaker: the number of attempts is zero"),
            ("50% of 20 in 0s", "breaker: the window is zero"),
            ("50% of 20 in 1x", "unknown unit \"x\""),
            ("50% of 20 in 1m, pause 0s", "breaker: the pause is zero"),
            ("50% of 20 in 1m, pause 2s..1s", "breaker: the first pause"),
            ("50% of 20 in 1m, probe 0", "breaker: the number of probes"),
            ("50% of 20 in 1m, probe 1, pause 1s", "breaker \"50% of"),
            ("50% of 20 in 1m, pauze 1s", "breaker \"50% of"),
        ];
        for (text, beginning) in table {
            let error = text.parse::<Breaker>().unwrap_err().to_string();
            assert!(error.starts_with(beginning), "{text}: {error}");
        }
    }
}
