use std::fmt;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The fields of an expression, seconds first.
const FIELDS: [&str; 6] = [
    "second",
    "minute",
    "hour",
    "day of month",
    "month",
    "day of week",
];

/// A cron expression, by the clock on the wall of a time zone.
///
/// Five fields, minute, hour, day of month, month and day of week, or six with seconds first; or
/// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Lists (`1,15`), ranges (`MON-FRI`), steps
/// (`*/10`), the last day (`L`), the nearest weekday (`15W`) and the second Friday (`FRI#2`) can be had. Where
/// both days are given, either is enough.
///
/// # When clocks change
///
/// | The expression | A time that does not exist | A time that exists twice |
/// |---|---|---|
/// | has one time of day: `30 2 * * *` | comes at the first instant after the gap | comes once, the first time |
/// | has more, by a list, range, step or `*`: `0 2,14 * * *`, `*/15 * * * *` | does not come | comes both times |
///
/// # Examples
///
/// ```
/// use chrono::{DateTime, Utc};
/// use vulkan_core::Cron;
///
/// let cron = Cron::new("0 3 * * *", "Europe/Zurich")?;
/// let summer: DateTime<Utc> = "2026-07-01T12:00:00Z".parse()?;
/// assert_eq!(cron.next_after(summer), Some("2026-07-02T01:00:00Z".parse()?));
///
/// let error = Cron::new("0 25 * * *", "UTC").unwrap_err();
/// assert!(error.to_string().starts_with("the hour \"25\" of cron expression \"0 25 * * *\" is not valid"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cron {
    expression: String,
    cron: croner::Cron,
    zone: TimeZone,
}

impl Cron {
    /// Reads an expression. The time zone is a name of the IANA database: `Europe/Zurich`, `UTC`.
    ///
    /// # Errors
    ///
    /// [`CronError`], which names the field that is wrong. An expression that never comes, such as
    /// the thirtieth of February, is one, too.
    pub fn new(expression: &str, time_zone: &str) -> Result<Self, CronError> {
        let cron = parse(expression)?;
        let zone = TimeZone::get(time_zone).map_err(|_| CronError::TimeZone {
            name: shortened(time_zone),
        })?;
        let cron = Self {
            expression: expression.to_owned(),
            cron,
            zone,
        };
        match cron.next_after(Utc::now()) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never {
                expression: shortened(expression),
            }),
        }
    }

    /// The first tick above a time, to the second. `None` past the year 5000.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut from = self.zoned(time)?;
        loop {
            let next = self.cron.find_next_occurrence(&from, false).ok()?;
            // Where a clock goes back, the library may answer with the very second it was asked from.
            if next.timestamp() > from.timestamp() {
                return DateTime::from_timestamp(next.timestamp().as_second(), 0);
            }
            from = from.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
        }
    }

    /// The newest ticks from `due`, which is one, up to `now`, and the one after them.
    pub(crate) fn ticks(
        &self,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
        at_most: usize,
    ) -> Option<(Vec<DateTime<Utc>>, DateTime<Utc>)> {
        // After a long absence there can be millions, of which few count: look back twice as far until
        // there are enough.
        let mut back = chrono::TimeDelta::minutes(1);
        loop {
            let from = (now - back).max(due);
            let mut ticks = Vec::new();
            if from == due {
                ticks.push(due);
            }
            let mut next = self.next_after(from)?;
            while next <= now {
                ticks.push(next);
                next = self.next_after(next)?;
            }
            if from == due || ticks.len() >= at_most {
                ticks.drain(..ticks.len().saturating_sub(at_most));
                return Some((ticks, next));
            }
            back = back.checked_mul(2)?;
        }
    }

    fn zoned(&self, time: DateTime<Utc>) -> Option<Zoned> {
        // Whole seconds are all that cron knows.
        let second = Timestamp::from_second(time.timestamp()).ok()?;
        Some(second.to_zoned(self.zone.clone()))
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cron")
            .field("expression", &self.expression)
            .field("time_zone", &self.zone.iana_name())
            .finish_non_exhaustive()
    }
}

fn parse(expression: &str) -> Result<croner::Cron, CronError> {
    let parser = CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build();
    if let Ok(cron) = parser.parse(expression) {
        return Ok(cron);
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if !(5..=6).contains(&fields.len()) {
        return Err(CronError::Fields {
            expression: shortened(expression),
            found: fields.len(),
        });
    }
    // The library does not say which field it is, so each is tried alone.
    let names = &FIELDS[FIELDS.len() - fields.len()..];
    for (nth, (field, value)) in names.iter().zip(&fields).enumerate() {
        let mut alone = vec!["*"; fields.len()];
        alone[nth] = value;
        if let Err(error) = parser.parse(&alone.join(" ")) {
            return Err(CronError::Field {
                expression: shortened(expression),
                field,
                value: shortened(value),
                problem: told(&error),
            });
        }
    }
    Err(CronError::Fields {
        expression: shortened(expression),
        found: fields.len(),
    })
}

/// What the library says, in our manner.
fn told(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError as Said;
    let text = match error {
        Said::InvalidPattern(text) | Said::IllegalCharacters(text) | Said::ComponentError(text) => {
            text.clone()
        }
        other => other.to_string(),
    };
    let text = text.trim_end_matches('.');
    match text.char_indices().nth(1) {
        Some((rest, _)) => text[..rest].to_lowercase() + &text[rest..],
        None => text.to_owned(),
    }
}

/// A hostile or mistaken megabyte must not travel on into logs.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A cron expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// One field is wrong.
    #[error("the {field} {value:?} of cron expression {expression:?} is not valid: {problem}")]
    Field {
        /// The expression.
        expression: String,
        /// The field, by its name.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There are too few fields, or too many.
    #[error(
        "cron expression {expression:?} has {found} fields; give five, as in \"0 3 * * *\", or six with seconds first"
    )]
    Fields {
        /// The expression.
        expression: String,
        /// How many there are.
        found: usize,
    },
    /// There is no such time zone.
    #[error("there is no time zone {name:?}; use a name such as \"Europe/Zurich\" or \"UTC\"")]
    TimeZone {
        /// The name.
        name: String,
    },
    /// No day is like this.
    #[error("cron expression {expression:?} never comes: no date fits its day and month")]
    Never {
        /// The expression.
        expression: String,
    },
}

#[cfg(test)]
mod tests;
