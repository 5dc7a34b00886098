//! What a group ought to be like, kept without looking at its tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::event::{Event, Rules};
use crate::support::{Group, Message};

/// What is committed: each event, and when it may be handed out.
pub(super) type Log = BTreeMap<i64, (Event, i64)>;

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
    /// When it may be handed out, by the clock of the history.
    pub(super) due_at: i64,
    pub(super) key: Option<String>,
    /// It failed before: it has a row of its own, which a replay forwards leaves.
    pub(super) storied: bool,
    /// It came back out of turn, so the later ones of its key may be ahead of it.
    pub(super) late: bool,
    /// In work under a lease of its own, until then.
    pub(super) lease_until: Option<i64>,
    /// Done in a transaction of its handler's, under this token.
    pub(super) completed: Option<i64>,
    /// In work, and asked to stop.
    pub(super) asked: bool,
    /// Dead because it was cancelled: its key goes on.
    pub(super) cancelled: bool,
    /// Handed out by itself.
    pub(super) alone: bool,
    /// Its lease was lost, and nobody has said anything of it since.
    pub(super) lost: bool,
}

/// What a worker holds under one token.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) worker: usize,
    /// The claim, while it is open.
    pub(super) claim: Option<Claim>,
    /// The keys whose lanes it holds, and the run of each.
    pub(super) lanes: BTreeMap<String, Run>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) hi: i64,
    pub(super) lease_until: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) offsets: Vec<i64>,
    pub(super) lease_until: i64,
}

#[derive(Clone)]
pub(super) struct Model {
    pub(super) group: Group,
    pub(super) blocks: bool,
    pub(super) paused: bool,
    pub(super) max_attempts: i32,
    /// How long a lease lasts.
    pub(super) lease: i64,
    /// What time it is.
    pub(super) clock: i64,
    /// Where the group began, and the highest cursor seen since it was last set.
    pub(super) start: i64,
    pub(super) cursor: i64,
    /// How many messages are in work at once at most, and how many of them keyed: all keys have one prefix.
    pub(super) limits: Option<(usize, usize)>,
    pub(super) entries: BTreeMap<i64, Entry>,
    /// From which offset on which rules hold.
    pub(super) bindings: Vec<(i64, Rules)>,
    pub(super) held: HashMap<i64, Held>,
}

impl Model {
    /// Whether the event is a message of the group.
    pub(super) fn wants(&self, offset: i64, event: &Event) -> bool {
        let mut bindings = self.bindings.iter();
        let (_, rules) = bindings.rfind(|(from, _)| *from < offset).unwrap();
        rules.matches(event)
    }

    /// Takes in an event that is committed, if a binding wants it.
    pub(super) fn arrive(&mut self, offset: i64, event: &Event, due_at: i64) {
        if self.wants(offset, event) && offset > self.start {
            let entry = Entry {
                state: State::Ready,
                attempts: 0,
                due_at,
                key: event.key(),
                storied: false,
                late: false,
                lease_until: None,
                completed: None,
                asked: false,
                cancelled: false,
                alone: false,
                lost: false,
            };
            self.entries.insert(offset, entry);
        }
    }

    pub(super) fn bind(&mut self, from: i64, rules: Rules, events: &Log) {
        self.bindings.retain(|(other, _)| *other < from);
        self.bindings.push((from, rules));
        let skipped = self.entries.split_off(&(from + 1));
        for (offset, (event, due_at)) in events.range(from + 1..) {
            self.arrive(*offset, event, *due_at);
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
            assert!(
                entry.due_at <= self.clock,
                "not due: {message:?} {entry:?} at {}",
                self.clock
            );
            assert_eq!(message.attempt, entry.attempts + 1, "{message:?}");
            assert_eq!(message.partition_key, entry.key);
            assert_eq!(message.lane.is_some(), entry.key.is_some());
            assert!(message.solo || !entry.lost, "{message:?} {entry:?}");
            self.assert_turn(message);
            let lease_until = self.clock + self.lease;
            let entry = self.entries.get_mut(&message.offset).unwrap();
            entry.state = State::Processing(message.token);
            entry.attempts += 1;
            entry.alone = message.solo;
            entry.lease_until = None;
            let held = self.held.entry(message.token).or_insert_with(|| Held {
                worker,
                claim: None,
                lanes: BTreeMap::new(),
            });
            held.claim = message.claim_hi.map(|hi| Claim { hi, lease_until });
            if let Some(key) = &message.partition_key {
                let run = held.lanes.entry(key.clone()).or_default();
                run.offsets.push(message.offset);
                run.lease_until = lease_until;
            } else if message.claim_hi.is_none() {
                entry.lease_until = Some(lease_until);
            }
        }
        if let (Some((most, _)), false) = (self.limits, messages.is_empty()) {
            assert!(self.in_work().count() <= most, "{messages:?}");
        }
    }

    /// Asserts that a claim which brought nothing had nothing to bring.
    pub(super) fn assert_drained(&self, lso: i64) {
        if self.paused || self.limits.is_some() {
            return;
        }
        let mut keys: Vec<&str> = Vec::new();
        for (offset, entry) in self.entries.range(..=lso) {
            let waits = entry.state == State::Ready && entry.due_at <= self.clock;
            let Some(key) = &entry.key else {
                assert!(
                    !waits,
                    "{offset} waits, and nothing is handed out: {entry:?}"
                );
                continue;
            };
            // Only the first of a key, unless some of it came back out of turn: then which is first is the engine's business.
            let unsettled = matches!(entry.state, State::Ready | State::Processing(_));
            let blocks = self.blocks && entry.state == State::Dead && !entry.cancelled;
            if (unsettled || blocks) && !keys.contains(&key.as_str()) {
                keys.push(key);
                assert!(
                    !waits || self.is_disordered(key) || self.is_in_work(key),
                    "{offset} waits, and nothing is handed out: {entry:?}"
                );
            }
        }
    }

    /// Whether messages of the key came back out of turn.
    pub(super) fn is_disordered(&self, key: &str) -> bool {
        let mut entries = self.of_key(key);
        entries.any(|(_, entry)| entry.late)
    }

    fn is_in_work(&self, key: &str) -> bool {
        let mut held = self.held.values();
        held.any(|held| held.lanes.contains_key(key))
    }

    pub(super) fn of_key(&self, key: &str) -> impl Iterator<Item = (&i64, &Entry)> {
        let entries = self.entries.iter();
        entries.filter(move |(_, entry)| entry.key.as_deref() == Some(key))
    }

    fn in_work(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.values();
        entries.filter(|entry| matches!(entry.state, State::Processing(_)))
    }

    /// The keys that wait for a message which failed: that message, and why.
    pub(super) fn blocked_keys(&self) -> BTreeMap<String, (i64, &'static str)> {
        let mut blocked = BTreeMap::new();
        let keys: BTreeSet<&String> = self
            .entries
            .values()
            .filter_map(|e| e.key.as_ref())
            .collect();
        for key in keys {
            if self.is_in_work(key) {
                continue;
            }
            let first = self.of_key(key).find(|(offset, entry)| {
                **offset <= self.cursor
                    && (entry.state == State::Ready
                        || (self.blocks && entry.state == State::Dead && !entry.cancelled))
            });
            match first {
                Some((offset, entry)) if entry.state == State::Dead => {
                    blocked.insert(key.clone(), (*offset, "dead"));
                }
                Some((offset, entry)) if entry.storied && entry.due_at > self.clock => {
                    blocked.insert(key.clone(), (*offset, "backoff"));
                }
                _ => {}
            }
        }
        blocked
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

    /// Done in a transaction of its handler's, and nobody has had it since.
    pub(super) fn has_completed(&self, offset: i64, token: i64) -> bool {
        let entry = self.entries.get(&offset);
        entry.is_some_and(|entry| entry.state == State::Done && entry.completed == Some(token))
    }

    pub(super) fn holds_claim(&self, token: i64) -> bool {
        self.held
            .get(&token)
            .is_some_and(|held| held.claim.is_some())
    }

    pub(super) fn holds_lane(&self, token: i64, key: &str) -> bool {
        self.held
            .get(&token)
            .is_some_and(|held| held.lanes.contains_key(key))
    }

    /// Applies an outcome to a message in hand; the status it comes to.
    pub(super) fn apply(&mut self, offset: i64, outcome: &str, due_at: i64) -> &'static str {
        let max_attempts = self.max_attempts;
        let entry = self.entries.get_mut(&offset).unwrap();
        entry.due_at = self.clock;
        entry.lease_until = None;
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
        entry.lost &= outcome == "release";
        entry.asked = false;
        if outcome != "release" || state == State::Dead {
            entry.storied |= state != State::Done;
            entry.due_at = due_at;
        }
        entry.state = state;
        verdict
    }

    /// The lease of a message in work is lost. It is dead of that only if it was alone.
    fn lose(&mut self, offset: i64) {
        let entry = &self.entries[&offset];
        let spared = entry.attempts >= self.max_attempts && !entry.alone && !entry.asked;
        self.apply(offset, if spared { "release" } else { "retry" }, self.clock);
        let entry = self.entries.get_mut(&offset).unwrap();
        // A keyed message that is spared leaves it to its lane.
        entry.storied |= entry.key.is_none();
        entry.lost = true;
    }

    /// Gives the rest of a lane's run back.
    pub(super) fn give_lane_back(&mut self, token: i64, key: &str) {
        let held = self.held.get_mut(&token).unwrap();
        for offset in held.lanes.remove(key).unwrap().offsets {
            if self.in_hand(offset, token) {
                // It was handed out, but its attempt had not begun.
                if self.entries[&offset].asked {
                    self.entries.get_mut(&offset).unwrap().attempts -= 1;
                }
                self.apply(offset, "release", self.clock);
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

    /// All leases of a worker end now.
    pub(super) fn expire(&mut self, worker: usize) {
        let clock = self.clock;
        let mine: Vec<i64> = self
            .held
            .iter()
            .filter(|(_, held)| held.worker == worker)
            .map(|(token, _)| *token)
            .collect();
        for token in mine {
            for offset in self.unkeyed_in_hand(token) {
                let lease = &mut self.entries.get_mut(&offset).unwrap().lease_until;
                *lease = lease.map(|_| clock);
            }
            let held = self.held.get_mut(&token).unwrap();
            held.claim
                .iter_mut()
                .for_each(|claim| claim.lease_until = clock);
            held.lanes
                .values_mut()
                .for_each(|run| run.lease_until = clock);
        }
    }

    /// Takes back what has outlived its lease.
    pub(super) fn reap(&mut self) {
        let clock = self.clock;
        let tokens: Vec<i64> = self.held.keys().copied().collect();
        for token in tokens {
            let held = self.held[&token].clone();
            for (key, run) in held
                .lanes
                .iter()
                .filter(|(_, run)| run.lease_until <= clock)
            {
                if let Some(first) = run.offsets.iter().find(|o| self.in_hand(**o, token)) {
                    self.lose(*first);
                }
                self.give_lane_back(token, key);
            }
            let lost = held.claim.is_some_and(|claim| claim.lease_until <= clock);
            if lost {
                self.held.get_mut(&token).unwrap().claim = None;
            }
            for offset in self.unkeyed_in_hand(token) {
                match self.entries[&offset].lease_until {
                    Some(until) if until <= clock => {}
                    None if lost => {}
                    _ => continue,
                }
                self.lose(offset);
            }
        }
    }

    /// A worker extends the leases of messages: of those that it still has.
    pub(super) fn extend(&mut self, messages: &[Message]) {
        let until = self.clock + self.lease;
        for message in messages {
            let (offset, token) = (message.offset, message.token);
            let in_hand = self.in_hand(offset, token);
            let Some(held) = self.held.get_mut(&token) else {
                continue;
            };
            if let Some(key) = &message.partition_key {
                if let Some(run) = held.lanes.get_mut(key) {
                    run.lease_until = until;
                }
                continue;
            }
            if let Some(claim) = &mut held.claim {
                claim.lease_until = until;
            }
            if in_hand {
                let lease = &mut self.entries.get_mut(&offset).unwrap().lease_until;
                *lease = lease.map(|_| until);
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

    pub(super) fn replay(&mut self, was: i64, is: i64, events: &Log) {
        self.cursor = is;
        self.start = self.start.min(is);
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
            let claim = &mut self.held.get_mut(&token).unwrap().claim;
            if claim.is_some_and(|claim| is < claim.hi) {
                *claim = None;
                for offset in self.unkeyed_in_hand(token) {
                    self.apply(offset, "snooze", self.clock);
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
            // What came back out of turn is known by its row alone.
            entry.lost = false;
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
        events: &Log,
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
                let (event, due_at) = &events[&offset];
                self.arrive(offset, event, *due_at);
                continue;
            }
            let entry = self.entries.get_mut(&offset).unwrap();
            entry.state = State::Ready;
            entry.attempts = 0;
            entry.due_at = self.clock;
            entry.late = true;
            entry.cancelled = false;
            entry.lost = false;
        }
    }
}
