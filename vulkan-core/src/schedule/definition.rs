use std::time::Duration;

use super::check::ScheduleMistake;
use crate::publish::{IntoMessage, Message};

/// A recurring event: what is published, and when.
///
/// Put into the database by [`Client::put_schedule`](crate::Client::put_schedule) or with a worker, it is
/// fired by whatever workers run, each tick exactly once. The event's headers say for when it is:
/// `vulkan-schedule` is the schedule's name, `vulkan-scheduled-at` the tick's time (RFC 3339, UTC).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vulkan_core::{Message, Missed, Schedule};
///
/// let nightly = Schedule::cron("nightly-report", "0 3 * * *")
///     .time_zone("Europe/Zurich")
///     .event(Message::new("reports", "report.due", &"all")?);
///
/// let poll = Schedule::every("poll-bank", Duration::from_secs(90))
///     .missed(Missed::Skip)
///     .event(Message::new("bank", "bank.poll", &())?);
///
/// assert!(nightly.check().is_ok() && poll.check().is_ok());
/// # Ok::<(), vulkan_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a schedule does nothing until it is put"]
pub struct Schedule {
    pub(super) name: String,
    pub(super) timing: Timing,
    pub(super) time_zone: String,
    pub(super) missed: Missed,
    pub(super) grace: Duration,
    pub(super) catch_up: u32,
    pub(super) event: Result<Message, ScheduleMistake>,
}

/// When a schedule comes.
#[derive(Debug, Clone)]
pub(super) enum Timing {
    Cron(String),
    Every(Duration),
}

/// What becomes of ticks that came while nobody could fire them: no worker ran, or the database was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Missed {
    /// They are left out. A tick is missed when it is later than the [grace](Schedule::grace), or another came after it.
    Skip,
    /// One event stands for all of them, with the time of the newest.
    #[default]
    Latest,
    /// Each gets its event, in order; after a long absence the newest of them, up to [`catch_up`](Schedule::catch_up).
    All,
}

impl Missed {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Latest => "latest",
            Self::All => "all",
        }
    }
}

/// As it stands in `vulkan.schedules`.
impl TryFrom<String> for Missed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        [Self::Skip, Self::Latest, Self::All]
            .into_iter()
            .find(|missed| missed.as_str() == text)
            .ok_or_else(|| format!("unknown policy for missed ticks {text:?}"))
    }
}

impl Schedule {
    /// A schedule by a [cron](crate::Cron) expression, in UTC unless a time zone is set.
    pub fn cron(name: impl Into<String>, expression: impl Into<String>) -> Self {
        Self::new(name.into(), Timing::Cron(expression.into()))
    }

    /// A schedule at a fixed interval of a second or more, which does not drift. The first tick comes one
    /// interval after the schedule was put for the first time.
    pub fn every(name: impl Into<String>, interval: Duration) -> Self {
        Self::new(name.into(), Timing::Every(interval))
    }

    fn new(name: String, timing: Timing) -> Self {
        Self {
            name,
            timing,
            time_zone: "UTC".into(),
            missed: Missed::default(),
            grace: Duration::from_secs(60),
            catch_up: 100,
            event: Err(ScheduleMistake::NoEvent),
        }
    }

    /// Sets the time zone whose clock a cron expression means: a name of the IANA database.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = name.into();
        self
    }

    /// Sets what becomes of missed ticks. Unless set, [`Missed::Latest`].
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Sets how late a tick may be fired with [`Missed::Skip`]. Unless set, a minute.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how many ticks are made up for with [`Missed::All`], up to ten thousand. Unless set, a hundred.
    pub fn catch_up(mut self, ticks: u32) -> Self {
        self.catch_up = ticks;
        self
    }

    /// Sets the event that each tick publishes: a `&T` of an [`Event`](crate::Event), or a [`Message`]
    /// without a delay and a dedup id.
    pub fn event(mut self, event: impl IntoMessage) -> Self {
        self.event = event
            .into_message()
            .map_err(|error| ScheduleMistake::encode(&error));
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream that its events go to, if it has an event.
    pub fn stream(&self) -> Option<&str> {
        Some(&self.event.as_ref().ok()?.stream)
    }
}
