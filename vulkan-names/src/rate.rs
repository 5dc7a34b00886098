use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::duration::{DurationError, parse_duration};

/// How many attempts may begin in a time.
///
/// As text it is `"100/s"`, `"6000/m"`, `"20/10s"`: a number, and a unit or a duration.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vulkan_names::Rate;
///
/// let rate: Rate = "6000/m".parse()?;
/// assert_eq!(rate, Rate::new(6000, Duration::from_secs(60)));
/// assert_eq!(rate.per_second(), 100.0);
/// # Ok::<(), vulkan_names::RateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// So many attempts …
    pub attempts: u32,
    /// … in so long.
    pub per: Duration,
}

impl Rate {
    /// So many attempts in so long.
    pub const fn new(attempts: u32, per: Duration) -> Self {
        Self { attempts, per }
    }

    /// So many attempts in a second.
    pub const fn a_second(attempts: u32) -> Self {
        Self::new(attempts, Duration::from_secs(1))
    }

    /// The same as attempts in a second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.attempts) / self.per.as_secs_f64()
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let Some((attempts, per)) = text.split_once('/') else {
            return Err(RateError::Form { text: text.into() });
        };
        if attempts.is_empty() || !attempts.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::Form { text: text.into() });
        }
        // Digits alone fail to parse only when there are too many of them.
        let attempts = attempts
            .parse()
            .map_err(|_| RateError::TooMany { text: text.into() })?;
        let per = if per.starts_with(|first: char| first.is_ascii_digit()) {
            parse_duration(per)?
        } else {
            parse_duration(&format!("1{per}"))?
        };
        if attempts == 0 || per.is_zero() {
            return Err(RateError::Zero { text: text.into() });
        }
        Ok(Self { attempts, per })
    }
}

/// Why a text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateError {
    /// It is not a number, a slash and a time.
    Form {
        /// The text.
        text: String,
    },
    /// The number is beyond all measure.
    TooMany {
        /// The text.
        text: String,
    },
    /// The time cannot be read.
    Duration(DurationError),
    /// Nothing would ever begin, or everything at once.
    Zero {
        /// The text.
        text: String,
    },
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { text } => write!(
                f,
                "rate {text:?} is not a number, a slash and a time: 100/s, 6000/m, 20/10s",
            ),
            Self::TooMany { text } => write!(f, "rate {text:?} exceeds {}/s", u32::MAX),
            Self::Duration(error) => error.fmt(f),
            Self::Zero { text } => write!(f, "rate {text:?} is zero, or in no time"),
        }
    }
}

impl Error for RateError {}

impl From<DurationError> for RateError {
    fn from(error: DurationError) -> Self {
        Self::Duration(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        let secs = Duration::from_secs;
        let text = |text: &str| text.to_owned();
        let table = [
            ("100/s", Ok(Rate::a_second(100))),
            ("6000/m", Ok(Rate::new(6000, secs(60)))),
            ("1/d", Ok(Rate::new(1, secs(86_400)))),
            ("20/10s", Ok(Rate::new(20, secs(10)))),
            ("100", Err(RateError::Form { text: text("100") })),
            ("/s", Err(RateError::Form { text: text("/s") })),
            ("-1/s", Err(RateError::Form { text: text("-1/s") })),
            ("0/s", Err(RateError::Zero { text: text("0/s") })),
            ("1/0s", Err(RateError::Zero { text: text("1/0s") })),
            (
                "4294967296/s",
                Err(RateError::TooMany {
                    text: text("4294967296/s"),
                }),
            ),
            (
                "5/w",
                Err(RateError::Duration(DurationError::UnknownUnit {
                    unit: text("w"),
                })),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Rate>(), expected, "{text}");
        }
    }
}
