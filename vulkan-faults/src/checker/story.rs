//! Crafted histories for the tests of the checker. Times are microseconds.

use super::{Counts, Delivered, Final, GroupRule, History, Logged, MayDie, Rules, check};
use crate::ledger::{Entry, How, Line};

pub(super) const SECOND: u64 = 1_000_000;
const GROUP: &str = "single";

/// A history in the making: one group, `single`, with a lease of five seconds and three attempts.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) rules: Rules,
    pub(super) last: Final,
    lines: Vec<Line>,
    pid: u32,
}

impl Story {
    pub(super) fn new() -> Self {
        let group = GroupRule {
            name: GROUP.into(),
            max_attempts: 3,
            ..GroupRule::default()
        };
        Self {
            rules: Rules {
                lease_us: 5 * SECOND,
                groups: vec![group],
                ..Rules::default()
            },
            last: Final::default(),
            lines: Vec::new(),
            pid: 1,
        }
    }

    /// Three events, each published, handled and done.
    pub(super) fn sound() -> Self {
        (1..=3).fold(Self::new(), |story, id| {
            let offset = i64::try_from(id).unwrap();
            story
                .ok(id, offset)
                .run(id, offset)
                .delivered(offset, "done", 1)
        })
    }

    /// What comes is said by this process.
    pub(super) fn on(mut self, pid: u32) -> Self {
        self.pid = pid;
        self
    }

    pub(super) fn note(mut self, at: u64, entry: Entry) -> Self {
        let pid = self.pid;
        self.lines.push(Line { at, pid, entry });
        self
    }

    fn publish(self, id: u64, key: Option<&str>, dedup: bool) -> Self {
        let key = key.map(str::to_owned);
        self.note(0, Entry::Invoke { id, key, dedup })
    }

    pub(super) fn in_log(mut self, id: u64, offset: i64) -> Self {
        self.last.log.push(Logged {
            offset,
            id,
            key: None,
        });
        self
    }

    pub(super) fn ok(self, id: u64, offset: i64) -> Self {
        let story = self.publish(id, None, false).in_log(id, offset);
        story.note(0, Entry::Ok { id, offset })
    }

    pub(super) fn deduped(self, id: u64, offset: i64) -> Self {
        let story = self.publish(id, None, true).in_log(id, offset);
        story.note(0, Entry::Ok { id, offset })
    }

    pub(super) fn keyed(mut self, id: u64, offset: i64, key: &str) -> Self {
        self = self.publish(id, Some(key), false).in_log(id, offset);
        if let Some(event) = self.last.log.last_mut() {
            event.key = Some(key.into());
        }
        self.note(0, Entry::Ok { id, offset })
    }

    pub(super) fn fail(self, id: u64) -> Self {
        self.publish(id, None, false).note(0, Entry::Fail { id })
    }

    pub(super) fn info(self, id: u64) -> Self {
        let why = String::new();
        self.publish(id, None, false)
            .note(0, Entry::Info { id, why })
    }

    pub(super) fn start(self, at: u64, offset: i64, attempt: u32) -> Self {
        let event = self.last.log.iter().find(|event| event.offset == offset);
        let (id, key) = event.map(|event| (event.id, event.key.clone())).unwrap();
        let group = GROUP.to_owned();
        self.note(
            at,
            Entry::Start {
                group,
                offset,
                id,
                attempt,
                key,
            },
        )
    }

    pub(super) fn end(self, at: u64, offset: i64, attempt: u32, how: How) -> Self {
        let group = GROUP.to_owned();
        self.note(
            at,
            Entry::End {
                group,
                offset,
                attempt,
                how,
            },
        )
    }

    pub(super) fn done(self, at: u64, offset: i64, attempt: u32) -> Self {
        self.end(at, offset, attempt, How::Done)
    }

    pub(super) fn failed(self, at: u64, offset: i64, attempt: u32) -> Self {
        self.end(at, offset, attempt, How::Failed)
    }

    pub(super) fn cut(self, at: u64, offset: i64, attempt: u32) -> Self {
        self.end(at, offset, attempt, How::Cut)
    }

    fn signal(self, at: u64, to: u32, name: &str) -> Self {
        let name = name.to_owned();
        self.note(at, Entry::Signal { to, name })
    }

    pub(super) fn kill(self, at: u64, to: u32) -> Self {
        self.signal(at, to, "KILL")
    }

    pub(super) fn stop(self, at: u64, to: u32) -> Self {
        self.signal(at, to, "STOP")
    }

    pub(super) fn cont(self, at: u64, to: u32) -> Self {
        self.signal(at, to, "CONT")
    }

    pub(super) fn may_die(mut self, offset: i64) -> Self {
        if let MayDie::Only(offsets) = &mut self.rules.may_die {
            offsets.insert(offset);
        }
        self
    }

    /// The process is told that it has lost the lease of a message.
    pub(super) fn told(self, at: u64, offset: i64) -> Self {
        let group = GROUP.to_owned();
        self.note(at, Entry::LeaseLost { group, offset })
    }

    pub(super) fn redriven(self, at: u64, offset: i64) -> Self {
        let group = GROUP.to_owned();
        self.note(at, Entry::Redriven { group, offset })
    }

    pub(super) fn run_at(self, at: u64, offset: i64, attempt: u32) -> Self {
        self.start(at, offset, attempt)
            .done(at + 1, offset, attempt)
    }

    pub(super) fn run(self, id: u64, offset: i64) -> Self {
        self.run_at(10 * id, offset, 1)
    }

    pub(super) fn delivered(mut self, offset: i64, status: &str, attempts: u32) -> Self {
        self.last.deliveries.push(Delivered {
            group: GROUP.into(),
            offset,
            status: status.into(),
            attempts,
        });
        self
    }

    fn history(&self) -> History {
        History::new(self.rules.clone(), self.last.clone(), self.lines.clone())
    }

    /// The names of what the oracle finds.
    pub(super) fn anomalies(&self) -> Vec<&'static str> {
        let found = check(&self.history());
        found.into_iter().map(|one| one.name).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts::of(&self.history(), &[])
    }
}
