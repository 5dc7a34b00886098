//! What a drain has done.

use std::collections::HashMap;
use std::fmt;

use vulkan::Status;

use super::watch::Begun;
use crate::group::{Table, TestMessage};

/// What a drain has done, group by group. Its `Display` shows the messages as a table.
///
/// It speaks of the messages whose state the drain has changed, as they stand after it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Drained {
    /// The groups that the worker serves, in the order of their first handlers.
    pub groups: Vec<DrainedGroup>,
}

/// What a drain has done in one group.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DrainedGroup {
    /// The stream.
    pub stream: String,
    /// The group.
    pub group: String,
    /// The offsets that handlers began with, in that order, once for each attempt.
    pub begun: Vec<i64>,
    /// The messages that the drain handled, by offset.
    pub messages: Vec<TestMessage>,
    /// The messages that are left waiting, handled or not: for a retry, for their time, for their turn.
    pub waiting: usize,
}

impl Drained {
    pub(super) fn between(
        groups: Vec<(String, String)>,
        before: &[Vec<TestMessage>],
        after: &[Vec<TestMessage>],
        begun: &[Begun],
    ) -> Self {
        let groups = groups.into_iter().zip(before.iter().zip(after));
        let groups = groups.map(|((stream, group), (before, after))| {
            let before: HashMap<i64, &TestMessage> = before
                .iter()
                .map(|message| (message.offset, message))
                .collect();
            let stands = |message: &TestMessage| (message.status, message.attempts);
            let begun = begun
                .iter()
                .filter(|one| one.stream == stream && one.group == group);
            DrainedGroup {
                begun: begun.map(|one| one.offset).collect(),
                stream,
                group,
                messages: after
                    .iter()
                    .filter(|message| match before.get(&message.offset) {
                        Some(before) => stands(before) != stands(message),
                        None => stands(message) != (Status::Ready, 0),
                    })
                    .cloned()
                    .collect(),
                waiting: after
                    .iter()
                    .filter(|message| message.status == Status::Ready)
                    .count(),
            }
        });
        Self {
            groups: groups.collect(),
        }
    }

    /// How many messages are done, over all groups.
    pub fn done(&self) -> usize {
        self.groups.iter().map(DrainedGroup::done).sum()
    }

    /// How many messages have failed and wait for their next attempt, over all groups.
    pub fn failed(&self) -> usize {
        self.groups.iter().map(DrainedGroup::failed).sum()
    }

    /// How many messages are dead, over all groups.
    pub fn dead(&self) -> usize {
        self.groups.iter().map(DrainedGroup::dead).sum()
    }

    /// One of the groups.
    ///
    /// # Panics
    ///
    /// When the worker does not serve it.
    #[track_caller]
    pub fn group(&self, stream: &str, group: &str) -> &DrainedGroup {
        let found = self
            .groups
            .iter()
            .find(|one| one.stream == stream && one.group == group);
        match found {
            Some(group) => group,
            None => {
                let served: Vec<_> = self
                    .groups
                    .iter()
                    .map(|one| format!("{:?} of {:?}", one.group, one.stream))
                    .collect();
                panic!(
                    "the drained worker does not serve group {group:?} of stream {stream:?}, but {}",
                    served.join(", ")
                )
            }
        }
    }
}

impl DrainedGroup {
    /// How many messages are done.
    pub fn done(&self) -> usize {
        self.in_status(Status::Done)
    }

    /// How many messages have failed and wait for their next attempt.
    pub fn failed(&self) -> usize {
        self.in_status(Status::Ready)
    }

    /// How many messages are dead.
    pub fn dead(&self) -> usize {
        self.in_status(Status::Dead)
    }

    fn in_status(&self, status: Status) -> usize {
        self.messages
            .iter()
            .filter(|message| message.status == status)
            .count()
    }
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            writeln!(
                f,
                "group {:?} of stream {:?}: {} done, {} failed, {} dead, {} left waiting",
                group.group,
                group.stream,
                group.done(),
                group.failed(),
                group.dead(),
                group.waiting
            )?;
            Table(&group.messages).fmt(f)?;
        }
        Ok(())
    }
}

/// The messages that are neither done nor dead, as a text.
pub(super) fn left(messages: &[Vec<TestMessage>], groups: &[(String, String)]) -> String {
    let mut text = String::new();
    for ((stream, group), messages) in groups.iter().zip(messages) {
        let left: Vec<TestMessage> = messages
            .iter()
            .filter(|message| matches!(message.status, Status::Ready | Status::Processing))
            .cloned()
            .collect();
        if !left.is_empty() {
            text += &format!(
                "left in group {group:?} of stream {stream:?}:\n{}",
                Table(&left)
            );
        }
    }
    text
}
