use std::fmt;
use std::time::Duration;

use vulkan_names::{NameError, Subject, check_kind, check_name};

use super::cron::{Cron, CronError};
use super::definition::{Schedule, Timing};
use crate::error::{Error, Refusal};
use crate::publish::Message;

/// Why a schedule cannot be put: every mistake there is, not only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleError {
    name: String,
    mistakes: Vec<ScheduleMistake>,
}

impl ScheduleError {
    /// The name of the schedule.
    pub fn schedule(&self) -> &str {
        &self.name
    }

    /// The mistakes.
    pub fn mistakes(&self) -> &[ScheduleMistake] {
        &self.mistakes
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {:?} cannot be put: ", self.name)?;
        for (nth, mistake) in self.mistakes.iter().enumerate() {
            if nth > 0 {
                f.write_str("; ")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ScheduleError {}

/// One mistake in a [`Schedule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleMistake {
    /// A name of the schedule, its stream or its kind breaks its rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The cron expression, or its time zone.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// The interval is too short, or longer than anybody means.
    #[error("it cannot come every {every:?}; give a second or more, up to a hundred years")]
    Interval {
        /// The interval.
        every: Duration,
    },
    /// The grace is zero.
    #[error("grace is zero; say how late a tick may be fired that is else skipped")]
    NoGrace,
    /// More ticks to make up for than are allowed, or none.
    #[error("it cannot catch up on {ticks} ticks; give 1 to 10000")]
    CatchUp {
        /// The ticks asked for.
        ticks: u32,
    },
    /// There is nothing to publish.
    #[error("it has no event; set one with .event(..)")]
    NoEvent,
    /// The event cannot be published.
    #[error("{0}")]
    Event(Refusal),
    /// The event has an option that a recurring one cannot have.
    #[error("its event has {option}, which is for events that are published once; leave it out")]
    Option {
        /// The option.
        option: &'static str,
    },
}

impl ScheduleMistake {
    /// The event could not become a message.
    pub(super) fn encode(error: &Error) -> Self {
        let cause = std::error::Error::source(error);
        Self::Event(Refusal {
            message: match cause {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
            hint: None,
        })
    }
}

impl Schedule {
    /// Checks everything that can be checked without the database.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let mut mistakes = Vec::new();
        mistakes.extend(
            check_name(Subject::Schedule, &self.name)
                .err()
                .map(Into::into),
        );
        match &self.timing {
            Timing::Cron(expression) => {
                mistakes.extend(Cron::new(expression, &self.time_zone).err().map(Into::into));
            }
            Timing::Every(every) => {
                if !(Duration::from_secs(1)..LONGEST).contains(every) {
                    mistakes.push(ScheduleMistake::Interval { every: *every });
                }
                mistakes.extend(Cron::new("@daily", &self.time_zone).err().map(Into::into));
            }
        }
        if self.grace.is_zero() {
            mistakes.push(ScheduleMistake::NoGrace);
        }
        if !(1..=10_000).contains(&self.catch_up) {
            mistakes.push(ScheduleMistake::CatchUp {
                ticks: self.catch_up,
            });
        }
        match &self.event {
            Ok(message) => mistakes.extend(of_event(message)),
            Err(mistake) => mistakes.push(mistake.clone()),
        }
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(ScheduleError {
                name: self.name.clone(),
                mistakes,
            })
        }
    }
}

/// A hundred years, which the database takes no more of.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

fn of_event(message: &Message) -> Vec<ScheduleMistake> {
    let names = [
        check_name(Subject::Stream, &message.stream),
        check_kind(&message.kind),
    ];
    let mut mistakes: Vec<ScheduleMistake> = names
        .into_iter()
        .filter_map(Result::err)
        .map(Into::into)
        .collect();
    if let Err(error) = message.check() {
        mistakes.push(match error {
            Error::Invalid(refusal) => ScheduleMistake::Event(refusal),
            other => ScheduleMistake::encode(&other),
        });
    }
    let options = [
        (
            "a time before which it is not handed out",
            message.deliver_at.is_some() || message.delay.is_some(),
        ),
        ("a dedup id", message.dedup_id.is_some()),
    ];
    let options = options.into_iter().filter(|(_, is_set)| *is_set);
    mistakes.extend(options.map(|(option, _)| ScheduleMistake::Option { option }));
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told() {
        let message = Message::new("Orders", "a..b", &1)
            .unwrap()
            .dedup_id("d")
            .delay(Duration::from_secs(1));
        let error = Schedule::cron("Nightly", "0 25 * * *")
            .grace(Duration::ZERO)
            .catch_up(0)
            .event(message)
            .check()
            .unwrap_err();
        let told: Vec<_> = error.mistakes().iter().map(ToString::to_string).collect();
        let beginnings = [
            "schedule name \"Nightly\" contains",
            "the hour \"25\" of cron expression",
            "grace is zero",
            "it cannot catch up on 0 ticks",
            "stream name \"Orders\" contains",
            "kind \"a..b\" has an empty segment",
            "its event has a time",
            "its event has a dedup id",
        ];
        assert_eq!(told.len(), beginnings.len(), "{told:#?}");
        for (told, beginning) in told.iter().zip(beginnings) {
            assert!(told.starts_with(beginning), "{told}");
        }
        assert!(
            error
                .to_string()
                .starts_with("schedule \"Nightly\" cannot be put: ")
        );
    }

    #[test]
    fn an_interval_is_a_second_or_more() {
        let schedule =
            |every| Schedule::every("s", every).event(Message::new("a", "b", &1).unwrap());
        assert!(schedule(Duration::from_secs(1)).check().is_ok());
        for bad in [Duration::ZERO, Duration::from_millis(999), Duration::MAX] {
            let error = schedule(bad).check().unwrap_err();
            assert_eq!(error.mistakes(), [ScheduleMistake::Interval { every: bad }]);
        }
    }

    #[test]
    fn a_schedule_without_an_event_or_zone_says_so() {
        let error = Schedule::every("s", Duration::from_secs(1))
            .time_zone("Mars/Olympus")
            .check()
            .unwrap_err();
        let told: Vec<_> = error.mistakes().iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("there is no time zone \"Mars/Olympus\""));
        assert!(told[1].starts_with("it has no event"));
        assert_eq!(told.len(), 2);
    }
}
