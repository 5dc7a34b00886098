use chrono::{DateTime, Utc};
use vulkan_names::GroupName;

/// A place in a stream to read from, or to set a group to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// Before the oldest event there is.
    Earliest,
    /// After the newest event that is stable now.
    Latest,
    /// After this offset: that event is taken as read, the one above it comes next.
    After(i64),
    /// At the first event published at or after this time, by the database's clock.
    At(DateTime<Utc>),
    /// Where this group of the same stream stands.
    Group(GroupName),
}

/// A position as the arguments of `vulkan.resolve_position()`, exactly one of which is set.
pub(crate) struct Arguments {
    pub(crate) offset: Option<i64>,
    pub(crate) time: Option<DateTime<Utc>>,
    pub(crate) position: Option<&'static str>,
    pub(crate) group: Option<String>,
}

impl From<Position> for Arguments {
    fn from(position: Position) -> Self {
        let none = Self {
            offset: None,
            time: None,
            position: None,
            group: None,
        };
        match position {
            Position::Earliest => Self {
                position: Some("earliest"),
                ..none
            },
            Position::Latest => Self {
                position: Some("latest"),
                ..none
            },
            Position::After(offset) => Self {
                offset: Some(offset),
                ..none
            },
            Position::At(time) => Self {
                time: Some(time),
                ..none
            },
            Position::Group(group) => Self {
                group: Some(group.into_string()),
                ..none
            },
        }
    }
}
