//! The numbers of the scoreboard. Each is one query, which is shown as it is run.

use crate::order::GROUPS;

/// A column of the scoreboard: a number for each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Produced,
    Processed,
    InFlight,
    Retrying,
    Waiting,
    Dead,
    Lost,
    Rerun,
    Repeated,
}

impl Number {
    pub(crate) const ALL: [Self; 9] = [
        Self::Produced,
        Self::Processed,
        Self::InFlight,
        Self::Retrying,
        Self::Waiting,
        Self::Dead,
        Self::Lost,
        Self::Rerun,
        Self::Repeated,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Produced => "produced",
            Self::Processed => "processed",
            Self::InFlight => "in flight",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
            Self::Dead => "dead",
            Self::Lost => "LOST",
            Self::Rerun => "rerun",
            Self::Repeated => "repeated",
        }
    }

    /// The width of its column, with the space before it. With 8 for the name of the group they make 80.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::InFlight | Self::Processed => 10,
            Self::Produced | Self::Retrying | Self::Repeated => 9,
            Self::Waiting => 8,
            Self::Dead | Self::Lost => 5,
            Self::Rerun => 7,
        }
    }

    /// The query, with a row `(consumer_group, messages)` for each group that has any.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Produced => include_str!("sql/produced.sql"),
            Self::Processed => include_str!("sql/processed.sql"),
            Self::InFlight => include_str!("sql/in_flight.sql"),
            Self::Retrying => include_str!("sql/retrying.sql"),
            Self::Waiting => include_str!("sql/waiting.sql"),
            Self::Dead => include_str!("sql/dead.sql"),
            Self::Lost => include_str!("sql/lost.sql"),
            Self::Rerun => include_str!("sql/rerun.sql"),
            Self::Repeated => include_str!("sql/repeated.sql"),
        }
    }
}

/// All numbers at one moment, by column and group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts([[i64; GROUPS.len()]; Number::ALL.len()]);

impl Counts {
    /// A number of one group.
    pub(crate) fn of(&self, number: Number, group: &str) -> i64 {
        let group = GROUPS.iter().position(|name| *name == group);
        group.map_or(0, |group| self.0[number as usize][group])
    }

    /// A number over all groups.
    pub(crate) fn sum(&self, number: Number) -> i64 {
        self.0[number as usize].iter().sum()
    }

    pub(crate) fn set(&mut self, number: Number, group: &str, messages: i64) {
        if let Some(group) = GROUPS.iter().position(|name| *name == group) {
            self.0[number as usize][group] = messages;
        }
    }

    /// What the groups still have to do.
    pub(crate) fn owed(&self) -> i64 {
        [Number::InFlight, Number::Retrying, Number::Waiting]
            .map(|number| self.sum(number))
            .iter()
            .sum()
    }
}
