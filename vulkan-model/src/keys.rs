//! How a key finds its row: claims of the log that replace the row of a drained key, settlements that leave one or none, and the sweep of drained rows.
//!
//! No index says that a key has one row: the latch does, and of several the one with the newest token would count. The SQL is `take_fresh_keys()` and `open_lanes()`,
//! `rest_lanes()` and `forget_keys()`, each of which looks first and writes after.

use stateright::{Model, Property};

/// How many messages the key has, and how many workers there are.
const MESSAGES: u8 = 3;
const WORKERS: usize = 2;
/// Who sweeps has a place behind the workers.
const SWEEP: usize = WORKERS;

/// What can be wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Claims do not exclude each other.
    NoLatch,
    /// The sweep looks before it has the latch: what it deletes can be a lane again.
    SweepLooksBefore,
    /// A claim leaves the row of the drained key where it is.
    RowLeft,
    /// The same, and who looks for the key takes its oldest row.
    RowLeftAndOldestCounts,
}

/// The protocol, or one that is almost it.
#[derive(Debug, Clone)]
struct Keys {
    flaw: Flaw,
}

/// A row of the key; the order of a list of them is that of their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    Drained,
    /// Everything up to here is done.
    Lane(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Process {
    Idle,
    /// It has looked for the key's row: which it is, and what stands there.
    Claiming(Option<(usize, Row)>),
    /// It handles a message.
    Working(u8),
    /// It has looked for more messages of the key.
    Settling {
        message: u8,
        drained: bool,
    },
    /// It has found the row of a drained key.
    Sweeping(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    cursor: u8,
    rows: Vec<Row>,
    latch: Option<usize>,
    processes: [Process; WORKERS + 1],
    done: u8,
    disordered: bool,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    /// A worker begins to claim from the log, or goes on with it.
    Claim(usize),
    /// Its message is done: it begins to settle.
    Settle(usize),
    /// It ends that, and the key's row stays if it is drained, or goes.
    Rest { worker: usize, stays: bool },
    /// The sweep begins, or ends.
    Sweep,
}

impl Keys {
    fn takes_latch(&self, state: &mut State, process: usize) -> Option<()> {
        if self.flaw != Flaw::NoLatch && state.latch.is_some() {
            return None;
        }
        state.latch = Some(process);
        Some(())
    }

    /// The row that counts.
    fn found(&self, state: &State) -> Option<(usize, Row)> {
        let mut rows = state.rows.iter().copied().enumerate();
        if self.flaw == Flaw::RowLeftAndOldestCounts {
            rows.next()
        } else {
            rows.next_back()
        }
    }

    fn claim(&self, state: &mut State, nth: usize) -> Option<()> {
        match state.processes[nth] {
            Process::Idle if state.cursor < MESSAGES => {
                self.takes_latch(state, nth)?;
                state.processes[nth] = Process::Claiming(self.found(state));
            }
            Process::Claiming(found) => {
                state.latch = None;
                let before = state.cursor;
                state.cursor = MESSAGES.min(before + 1);
                state.processes[nth] = Process::Idle;
                if matches!(found, Some((_, Row::Lane(_)))) {
                    return Some(());
                }
                // Without the latch it may be gone by now.
                if let Some((at, _)) = found.filter(|(at, _)| *at < state.rows.len())
                    && !matches!(self.flaw, Flaw::RowLeft | Flaw::RowLeftAndOldestCounts)
                {
                    state.rows.remove(at);
                }
                state.rows.push(Row::Lane(before));
                state.processes[nth] = Process::Working(state.cursor);
            }
            _ => return None,
        }
        Some(())
    }

    fn settle(&self, state: &mut State, nth: usize) -> Option<()> {
        let Process::Working(message) = state.processes[nth] else {
            return None;
        };
        self.takes_latch(state, nth)?;
        state.disordered |= message != state.done + 1;
        state.done = message;
        let drained = state.cursor == message;
        state.processes[nth] = Process::Settling { message, drained };
        Some(())
    }

    fn rest(&self, state: &mut State, nth: usize, stays: bool) -> Option<()> {
        let Process::Settling { message, drained } = state.processes[nth] else {
            return None;
        };
        if stays && !drained {
            return None;
        }
        state.latch = None;
        let own = state
            .rows
            .iter()
            .rposition(|row| matches!(row, Row::Lane(head) if *head < message));
        state.processes[nth] = Process::Idle;
        if let Some(own) = own {
            if !drained {
                // The next of its run, as far as this model goes.
                state.rows[own] = Row::Lane(message);
                state.processes[nth] = Process::Working(message + 1);
            } else if stays {
                state.rows[own] = Row::Drained;
            } else {
                state.rows.remove(own);
            }
        }
        Some(())
    }

    fn sweep(&self, state: &mut State) -> Option<()> {
        match state.processes[SWEEP] {
            Process::Idle => {
                let at = state.rows.iter().position(|row| *row == Row::Drained)?;
                if self.flaw != Flaw::SweepLooksBefore {
                    self.takes_latch(state, SWEEP)?;
                }
                state.processes[SWEEP] = Process::Sweeping(at);
            }
            Process::Sweeping(at) => {
                if self.flaw == Flaw::SweepLooksBefore && state.latch.is_some() {
                    return None;
                }
                if state.latch == Some(SWEEP) {
                    state.latch = None;
                }
                if at < state.rows.len() {
                    state.rows.remove(at);
                }
                state.processes[SWEEP] = Process::Idle;
            }
            _ => return None,
        }
        Some(())
    }
}

impl Model for Keys {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            cursor: 0,
            rows: Vec::new(),
            latch: None,
            processes: [Process::Idle; WORKERS + 1],
            done: 0,
            disordered: false,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            actions.extend([Action::Claim(worker), Action::Settle(worker)]);
            actions.extend([true, false].map(|stays| Action::Rest { worker, stays }));
        }
        actions.push(Action::Sweep);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Claim(nth) => self.claim(&mut state, nth)?,
            Action::Settle(nth) => self.settle(&mut state, nth)?,
            Action::Rest { worker, stays } => self.rest(&mut state, worker, stays)?,
            Action::Sweep => self.sweep(&mut state)?,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a key has one row", |_: &Self, state: &State| {
                state.rows.len() < 2
            }),
            Property::always("a key has one lane", |_, state: &State| {
                let lanes = state.rows.iter().filter(|row| **row != Row::Drained);
                lanes.count() < 2
            }),
            Property::always("what is not done has its lane", |_, state: &State| {
                state.done >= state.cursor || state.rows.iter().any(|row| *row != Row::Drained)
            }),
            Property::always("each key is done in order", |_, state: &State| {
                !state.disordered
            }),
            Property::sometimes("all is done, and a row stays", |_, state: &State| {
                state.done == MESSAGES && state.rows == [Row::Drained]
            }),
            Property::sometimes("all is done, and nothing stays", |_, state: &State| {
                state.done == MESSAGES && state.rows.is_empty()
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{breaks, explored};

    #[test]
    fn a_key_has_one_row_and_finds_it() {
        assert_eq!(
            explored(Keys { flaw: Flaw::None }),
            [
                "all is done, and a row stays",
                "all is done, and nothing stays"
            ]
        );
    }

    #[test]
    fn each_rule_is_needed() {
        for (flaw, property) in [
            (Flaw::NoLatch, "a key has one lane"),
            (Flaw::SweepLooksBefore, "what is not done has its lane"),
            (Flaw::RowLeft, "a key has one row"),
            (Flaw::RowLeftAndOldestCounts, "a key has one lane"),
        ] {
            assert!(breaks(Keys { flaw }, property), "{flaw:?}: {property}");
        }
        // Of two rows the newest counts: so a row that was left does no more harm than that.
        let found = explored(Keys {
            flaw: Flaw::RowLeft,
        });
        for property in [
            "a key has one lane",
            "what is not done has its lane",
            "each key is done in order",
        ] {
            assert!(!found.contains(&property), "{found:?}");
        }
    }
}
