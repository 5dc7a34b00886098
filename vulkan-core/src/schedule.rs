//! Recurring events: what they publish and when, and what operators do with them.

mod check;
mod cron;
mod definition;
mod manage;
mod overview;

pub use check::{ScheduleError, ScheduleMistake};
pub use cron::{Cron, CronError};
pub use definition::{Missed, Schedule};
pub use overview::ScheduleOverview;
