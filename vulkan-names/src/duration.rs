use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The longest duration that [`parse_duration`] accepts: a hundred years.
///
/// Anything longer is a typo, and added to the present it would leave the range of a timestamp.
pub const MAX_DURATION: Duration = Duration::from_secs(36_500 * 86_400);

/// The units from the largest to the smallest, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration as people write it: `500ms`, `30s`, `1m30s`, `7d`.
///
/// Units are `ms`, `s`, `m`, `h` and `d`. Several parts may follow each other without a space,
/// each unit at most once and the larger before the smaller.
/// There are no signs and no fractions.
///
/// # Errors
///
/// If `text` is empty, a number or its unit is missing, a unit is unknown or out of order,
/// or the sum exceeds [`MAX_DURATION`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vulkan_names::parse_duration;
///
/// assert_eq!(parse_duration("250ms")?, Duration::from_millis(250));
/// assert_eq!(parse_duration("1h30m")?, Duration::from_secs(5400));
/// assert!(parse_duration("30").is_err());
/// # Ok::<(), vulkan_names::DurationError>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let overflow = || DurationError::TooLong { text: text.into() };
    let mut rest = text;
    let mut allowed = &UNITS[..];
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (digits, tail) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, tail) = split_where(tail, |c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(DurationError::Number { text: text.into() });
        }
        if unit.is_empty() {
            return Err(DurationError::Unit { text: text.into() });
        }
        let Some(&(_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit { unit: unit.into() });
        };
        let Some(position) = allowed.iter().position(|(name, _)| *name == unit) else {
            return Err(DurationError::Order { unit: unit.into() });
        };
        allowed = &allowed[position + 1..];
        // Digits alone fail to parse only when there are too many of them.
        let number: u64 = digits.parse().map_err(|_| overflow())?;
        total = number
            .checked_mul(millis)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(overflow)?;
        rest = tail;
    }
    let total = Duration::from_millis(total);
    if total > MAX_DURATION {
        return Err(overflow());
    }
    Ok(total)
}

fn split_where(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DurationError {
    /// There is no text at all.
    Empty,
    /// A unit stands without a number before it.
    Number {
        /// The whole text.
        text: String,
    },
    /// A number stands without a unit after it.
    Unit {
        /// The whole text.
        text: String,
    },
    /// The unit is none of `ms`, `s`, `m`, `h`, `d`.
    UnknownUnit {
        /// The unit as written.
        unit: String,
    },
    /// The unit repeats an earlier one or is larger than it.
    Order {
        /// The unit as written.
        unit: String,
    },
    /// The duration is longer than [`MAX_DURATION`].
    TooLong {
        /// The whole text.
        text: String,
    },
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("duration is empty"),
            Self::Number { text } => write!(f, "duration {text:?} lacks a number before a unit"),
            Self::Unit { text } => write!(
                f,
                "duration {text:?} lacks a unit: use ms, s, m, h or d after each number",
            ),
            Self::UnknownUnit { unit } => {
                write!(f, "unknown unit {unit:?}: use ms, s, m, h or d")
            }
            Self::Order { unit } => write!(
                f,
                "unit {unit:?} is out of order: write each unit once, the largest first",
            ),
            Self::TooLong { text } => write!(f, "duration {text:?} exceeds 36500d"),
        }
    }
}

impl Error for DurationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        let table = [
            ("0s", 0),
            ("1ms", 1),
            ("500ms", 500),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("007s", 7_000),
            ("36500d", 3_153_600_000_000),
        ];
        for (text, millis) in table {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn rejects() {
        use DurationError as E;
        let number = |text: &str| E::Number { text: text.into() };
        let unknown = |unit: &str| E::UnknownUnit { unit: unit.into() };
        let order = |unit: &str| E::Order { unit: unit.into() };
        let too_long = |text: &str| E::TooLong { text: text.into() };
        let table = [
            ("", E::Empty),
            ("s", number("s")),
            ("-1s", number("-1s")),
            (" 1s", number(" 1s")),
            ("30", E::Unit { text: "30".into() }),
            (
                "1m30",
                E::Unit {
                    text: "1m30".into(),
                },
            ),
            ("1 s", unknown(" s")),
            ("1.5s", unknown(".")),
            ("2sec", unknown("sec")),
            ("1S", unknown("S")),
            ("1é", unknown("é")),
            ("30s1m", order("m")),
            ("1s1s", order("s")),
            ("36501d", too_long("36501d")),
            ("18446744073709551616ms", too_long("18446744073709551616ms")),
            ("18446744073709551615d", too_long("18446744073709551615d")),
        ];
        for (text, error) in table {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
    }
}
