//! What a group ought to be like, kept without looking at its tables.

use std::collections::{BTreeMap, HashMap};

use super::event::{Event, Rules};
use crate::support::{Group, Message};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Processing(i64),
    Done,
    Dead,
}

/// One message of the group.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) attempts: i32,
    pub(super) due: bool,
    pub(super) key: Option<String>,
    /// It failed before: it has a row of its own, which a replay forwards leaves.
    pub(super) storied: bool,
    /// It came back out of turn, so the later ones of its key may be ahead of it.
    pub(super) late: bool,
    /// In work, and asked to stop.
    pub(super) asked: bool,
    /// Dead because it was cancelled: its key goes on.
    pub(super) cancelled: bool,
}

/// What a worker holds under one token.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) worker: usize,
    /// The claim's end, while it is open.
    pub(super) claim_hi: Option<i64>,
    /// The keys whose lanes it holds, and the run of each.
    pub(super) lanes: HashMap<String, Vec<i64>>,
}

#[derive(Clone)]
pub(super) struct Model {
    pub(super) group: Group,
    pub(super) blocks: bool,
    pub(super) paused: bool,
    pub(super) max_attempts: i32,
    /// How many messages are in work at once at most, and how many of them keyed: all keys have one prefix.
    pub(super) limits: Option<(usize, usize)>,
    pub(super) entries: BTreeMap<i64, Entry>,
    /// From which offset on which rules hold.
    pub(super) bindings: Vec<(i64, Rules)>,
    pub(super) held: HashMap<i64, Held>,
}

impl Model {
    /// Takes in an event that is committed, if a binding wants it.
    pub(super) fn arrive(&mut self, offset: i64, event: &Event) {
        let (_, rules) = *self
            .bindings
            .iter()
            .rfind(|(from, _)| *from < offset)
            .unwrap();
        if rules.matches(event) {
            let entry = Entry {
                state: State::Ready,
                attempts: 0,
                due: !event.delayed,
                key: event.key.clone(),
                storied: false,
                late: false,
                asked: false,
                cancelled: false,
            };
            self.entries.insert(offset, entry);
        }
    }

    pub(super) fn bind(&mut self, from: i64, rules: Rules, events: &BTreeMap<i64, Event>) {
        self.bindings.retain(|(other, _)| *other < from);
        self.bindings.push((from, rules));
        let skipped = self.entries.split_off(&(from + 1));
        for (offset, event) in events.range(from + 1..) {
            self.arrive(*offset, event);
        }
        // Skipped or cancelled before their turn.
        let ended = |entry: &Entry| matches!(entry.state, State::Done | State::Dead);
        self.entries
            .extend(skipped.into_iter().filter(|(_, entry)| ended(entry)));
    }

    /// Takes note of what a claim handed out, and asserts that it might.
    pub(super) fn handed_out(&mut self, worker: usize, messages: &[Message]) {
        assert!(!self.paused || messages.is_empty(), "paused: {messages:?}");
        assert!(
            messages.iter().filter(|m| m.solo).count() <= 1,
            "{messages:?}"
        );
        for message in messages {
            let entry = self.entries.get(&message.offset);
            let entry = entry.unwrap_or_else(|| panic!("no message of the group: {message:?}"));
            assert_eq!(entry.state, State::Ready, "{message:?} {entry:?}");
            assert!(entry.due, "not due: {message:?} {entry:?}");
            assert_eq!(message.attempt, entry.attempts + 1, "{message:?}");
            assert_eq!(message.partition_key, entry.key);
            assert_eq!(message.lane.is_some(), entry.key.is_some());
            self.assert_turn(message);
            let entry = self.entries.get_mut(&message.offset).unwrap();
            entry.state = State::Processing(message.token);
            entry.attempts += 1;
            let held = self.held.entry(message.token).or_insert_with(|| Held {
                worker,
                claim_hi: None,
                lanes: HashMap::new(),
            });
            held.claim_hi = message.claim_hi;
            if let Some(key) = &message.partition_key {
                held.lanes
                    .entry(key.clone())
                    .or_default()
                    .push(message.offset);
            }
        }
    }

    /// No more in work than the limits allow.
    pub(super) fn assert_limits(&self) {
        let Some((most, most_keyed)) = self.limits else {
            return;
        };
        let entries = self.entries.values();
        let in_work = entries.filter(|entry| matches!(entry.state, State::Processing(_)));
        let (keyed, unkeyed): (Vec<_>, Vec<_>) = in_work.partition(|entry| entry.key.is_some());
        assert!(keyed.len() <= most_keyed, "{keyed:?}");
        assert!(keyed.len() + unkeyed.len() <= most, "{keyed:?} {unkeyed:?}");
    }

    /// One key, one message at a time, in log order.
    fn assert_turn(&self, message: &Message) {
        let Some(key) = &message.partition_key else {
            return;
        };
        for (offset, other) in &self.entries {
            if other.key.as_ref() != Some(key) || *offset == message.offset {
                continue;
            }
            let fine = match other.state {
                State::Processing(token) => token == message.token,
                _ if *offset > message.offset => true,
                State::Done => true,
                State::Dead => !self.blocks || other.late || other.cancelled,
                State::Ready => other.late,
            };
            assert!(fine, "{message:?} although {offset} is {other:?}");
        }
    }

    pub(super) fn in_hand(&self, offset: i64, token: i64) -> bool {
        let entry = self.entries.get(&offset);
        entry.is_some_and(|entry| entry.state == State::Processing(token))
    }

    pub(super) fn holds_claim(&self, token: i64) -> bool {
        self.held
            .get(&token)
            .is_some_and(|held| held.claim_hi.is_some())
    }

    pub(super) fn holds_lane(&self, token: i64, key: &str) -> bool {
        self.held
            .get(&token)
            .is_some_and(|held| held.lanes.contains_key(key))
    }

    /// Applies an outcome to a message in hand; the status it comes to.
    pub(super) fn apply(&mut self, offset: i64, outcome: &str, due: bool) -> &'static str {
        let max_attempts = self.max_attempts;
        let entry = self.entries.get_mut(&offset).unwrap();
        entry.due = true;
        let (state, verdict) = match outcome {
            "done" | "progress" => (State::Done, "done"),
            _ if entry.asked => {
                entry.cancelled = true;
                (State::Dead, "dead")
            }
            "retry" if entry.attempts < max_attempts => (State::Ready, "ready"),
            "retry" | "dead" => (State::Dead, "dead"),
            "snooze" | "release" => {
                entry.attempts -= 1;
                (State::Ready, "ready")
            }
            other => unreachable!("{other}"),
        };
        entry.asked = false;
        if outcome != "release" || state == State::Dead {
            entry.storied |= state != State::Done;
            entry.due = due || state != State::Ready;
        }
        entry.state = state;
        verdict
    }

    /// Gives the rest of a lane's run back.
    pub(super) fn give_lane_back(&mut self, token: i64, key: &str) {
        let held = self.held.get_mut(&token).unwrap();
        for offset in held.lanes.remove(key).unwrap() {
            if self.in_hand(offset, token) {
                // It was handed out, but its attempt had not begun.
                if self.entries[&offset].asked {
                    self.entries.get_mut(&offset).unwrap().attempts -= 1;
                }
                self.apply(offset, "release", true);
            }
        }
    }

    /// Gives up a message that waits, or asks one in work to stop.
    pub(super) fn cancel(&mut self, offset: i64) -> &'static str {
        let entry = self.entries.get_mut(&offset).unwrap();
        match entry.state {
            State::Ready => {
                entry.state = State::Dead;
                entry.storied = true;
                entry.cancelled = true;
                "ready"
            }
            State::Processing(_) => {
                entry.asked = true;
                "processing"
            }
            State::Done => "done",
            State::Dead => "dead",
        }
    }

    /// The lease of all that a worker holds is lost, except of what was extended: messages by
    /// token, with the key of the keyed ones.
    pub(super) fn reap(&mut self, worker: usize, extended: &[(i64, Option<String>)]) {
        let tokens: Vec<i64> = self.held.keys().copied().collect();
        for token in tokens {
            let held = self.held[&token].clone();
            if held.worker != worker {
                continue;
            }
            for (key, run) in &held.lanes {
                if extended.contains(&(token, Some(key.clone()))) {
                    continue;
                }
                if let Some(first) = run.iter().find(|offset| self.in_hand(**offset, token)) {
                    self.apply(*first, "retry", true);
                }
                self.give_lane_back(token, key);
            }
            if !extended.contains(&(token, None)) {
                self.held.get_mut(&token).unwrap().claim_hi = None;
                for offset in self.unkeyed_in_hand(token) {
                    self.apply(offset, "retry", true);
                }
            }
        }
    }

    pub(super) fn unkeyed_in_hand(&self, token: i64) -> Vec<i64> {
        let in_hand = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.key.is_none() && entry.state == State::Processing(token));
        in_hand.map(|(offset, _)| *offset).collect()
    }

    pub(super) fn replay(&mut self, was: i64, is: i64, events: &BTreeMap<i64, Event>) {
        if is == was {
            return;
        }
        // What is fenced starts over first, and ends if it was asked to stop and still waits then.
        let asked: Vec<i64> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.asked)
            .map(|(offset, _)| *offset)
            .collect();
        asked
            .iter()
            .for_each(|offset| self.entries.get_mut(offset).unwrap().asked = false);
        let tokens: Vec<i64> = self.held.keys().copied().collect();
        for token in tokens {
            let keys: Vec<String> = self.held[&token].lanes.keys().cloned().collect();
            for key in keys {
                self.give_lane_back(token, &key);
            }
            let claim_hi = &mut self.held.get_mut(&token).unwrap().claim_hi;
            if claim_hi.is_some_and(|hi| is < hi) {
                *claim_hi = None;
                for offset in self.unkeyed_in_hand(token) {
                    self.apply(offset, "snooze", true);
                }
            }
        }
        if is < was {
            self.entries.split_off(&(is + 1));
            let (_, rules) = *self.bindings.last().unwrap();
            self.bind(is, rules, events);
        } else {
            let skipped = |entry: &Entry| entry.state != State::Ready;
            self.entries
                .retain(|offset, entry| *offset <= was || *offset > is || skipped(entry));
            for (_, entry) in self.entries.range_mut(..=was) {
                if entry.key.is_some() && !entry.storied && entry.state == State::Ready {
                    entry.state = State::Done;
                }
            }
        }
        for (_, entry) in self.entries.range_mut(..=was.min(is)) {
            entry.late |= entry.storied && is > was;
        }
        for offset in asked {
            match self.entries.get_mut(&offset) {
                Some(entry) if entry.state == State::Ready && offset <= is => {
                    entry.state = State::Dead;
                    entry.storied = true;
                    entry.cancelled = true;
                }
                Some(entry) => entry.asked = matches!(entry.state, State::Processing(_)),
                None => {}
            }
        }
    }

    /// Dead messages up to so many come back, but for those that a run in work has passed over.
    /// What lies above the cursor gets its turn again.
    pub(super) fn redrive(
        &mut self,
        at_most: usize,
        cursor: i64,
        passed_over: &[i64],
        events: &BTreeMap<i64, Event>,
    ) {
        let dead = self.entries.iter();
        let dead: Vec<i64> = dead
            .filter(|(offset, entry)| entry.state == State::Dead && !passed_over.contains(offset))
            .map(|(offset, _)| *offset)
            .take(at_most)
            .collect();
        for offset in dead {
            if offset > cursor {
                self.entries.remove(&offset);
                self.arrive(offset, &events[&offset]);
                continue;
            }
            let entry = self.entries.get_mut(&offset).unwrap();
            entry.state = State::Ready;
            entry.attempts = 0;
            entry.due = true;
            entry.late = true;
            entry.cancelled = false;
        }
    }
}
