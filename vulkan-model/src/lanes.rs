//! One partition key: claims of the log that meet it, the lane that holds its messages, workers that may be late, their handlers' transactions, and a reaper.
//!
//! What the SQL does in several statements it does here in several steps, so that the latch and the fences matter. A claim of the log looks for the lane
//! and moves the cursor after. A claim of the lane locks its row, and reads the cursor after, without the latch. A settlement looks at the lane and the message,
//! writes the message's row, for which it may have to wait, looks for the next message, and gives the lane back: all of that is seen at its end.
//! `complete()` looks at the lane without a lock, marks the message's row, and commits whenever its transaction does. The SQL is `claim_log()`,
//! `claim_lanes()`, `settle_lanes()`, `rest_lanes()`, `reap_lanes()` and `complete()`. How a key finds its row is in `keys`.

mod completion;
mod hand_out;
mod settlement;

use stateright::{Model, Property};

/// How many messages the key has, how many workers there are, and how often leases are lost.
const MESSAGES: usize = 2;
const WORKERS: usize = 2;
const LOSSES: u8 = 2;
/// Who reaps has a place behind the workers.
const REAPER: usize = WORKERS;

/// What can be wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Claims and settlements do not exclude each other.
    NoLatch,
    /// A settlement counts whatever token it comes with.
    NoFence,
    /// What is reaped, and handed out again, keeps its token.
    TokenKept,
    /// A claim hands out new messages of a key that has its lane.
    BusyKeyHandedOut,
    /// A failed message is passed over like a done one.
    HeadPassesFailure,
    /// A completion does not look whether its worker has the lane.
    CompleteNotFenced,
    /// A completion does not look again when it has waited for the message's row.
    CompleteLooksOnce,
    /// A completion marks the row of the message, whatever that is by then.
    CompleteMarksAnything,
    /// A settlement writes its failure over a message that is done.
    SettleOverwrites,
    /// A dead message blocks its lane, though it was completed while the settlement waited for its row.
    BlocksAnyway,
}

/// The protocol, or one that is almost it.
#[derive(Debug, Clone)]
struct Lanes {
    flaw: Flaw,
}

/// The lane of the key: what is unresolved lies above its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lane {
    head: usize,
    token: u8,
    status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Status {
    Ready,
    Processing,
    Blocked,
}

/// A message's row among the exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    None,
    Ready,
    Done,
    Dead,
}

/// What is said of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Done,
    Retry,
    Dead,
}

/// A run that a worker has, or believes to have: messages that it has still to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    todo: [bool; MESSAGES],
    token: u8,
}

/// Where a worker is, or the reaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Worker {
    Idle,
    /// It claims from the log, and has looked whether the key has its lane.
    Claiming {
        lane: bool,
        cursor: usize,
    },
    /// It has the lane's row, and has yet to read what to hand out.
    Taking,
    Working(Run),
    /// It has looked at the lane and at the message.
    Settling {
        message: usize,
        outcome: Outcome,
    },
    /// It has written the message's row, and looked for the next message.
    Resting {
        message: usize,
        row: Row,
        head: usize,
        status: Status,
        drained: bool,
    },
}

/// A handler's transaction that completes its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Transaction {
    message: usize,
    token: u8,
    /// It has marked the message's row, and not only looked.
    marked: bool,
}

/// Everything there is, as far as it is committed. Message 1 is the first; the place of each is one below.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    cursor: usize,
    lane: Option<Lane>,
    rows: [Row; MESSAGES],
    tokens: u8,
    latch: Option<usize>,
    workers: [Worker; WORKERS + 1],
    transactions: [Option<Transaction>; WORKERS],
    losses: u8,
    failures: u8,
    /// How often each message was accepted as done.
    done: [u8; MESSAGES],
    /// How often the effects of each were committed.
    effects: [u8; MESSAGES],
    /// A message was accepted before one in front of it.
    disordered: bool,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    /// A worker begins to claim from the log, or goes on with it.
    ClaimLog(usize),
    /// A worker locks the lane, which is ready, or hands it out.
    ClaimLane(usize),
    /// `complete()` looks whether the worker has the lane.
    Look(usize),
    /// `complete()` marks the next message done.
    Mark(usize),
    /// The handler's transaction commits.
    Commit(usize),
    /// Or does not.
    RollBack(usize),
    /// A worker reports its next message, done or failed.
    Settle(usize, Outcome),
    /// The reaper finds the lease of the lane lost.
    Reap,
    /// A settlement, or the reaper, writes the message's row, or gives the lane back.
    GoOn(usize),
}

impl State {
    /// Who would write a message's row waits for a transaction that has.
    fn is_locked(&self, message: usize) -> bool {
        let marked = |x: &Transaction| x.marked && x.message == message;
        self.transactions.iter().flatten().any(marked)
            || self.workers.iter().any(|worker| {
                matches!(worker, Worker::Resting { message: of, row, .. } if *of == message && *row != Row::None)
            })
    }

    fn is_held(&self, token: u8) -> bool {
        self.lane
            .is_some_and(|lane| lane.status == Status::Processing && lane.token == token)
    }

    /// The messages above a head that a lane has to hand out.
    fn pending(&self, head: usize) -> [bool; MESSAGES] {
        std::array::from_fn(|nth| {
            (head..self.cursor).contains(&nth) && matches!(self.rows[nth], Row::None | Row::Ready)
        })
    }

    fn is_resolved(&self, nth: usize) -> bool {
        self.done[nth] > 0 || self.rows[nth] == Row::Done
    }

    fn draw(&mut self) -> u8 {
        self.tokens += 1;
        self.tokens
    }
}

impl Lanes {
    fn takes_latch(&self, state: &mut State, worker: usize) -> Option<()> {
        if self.flaw != Flaw::NoLatch && state.latch.is_some() {
            return None;
        }
        state.latch = Some(worker);
        Some(())
    }
}

impl Model for Lanes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            cursor: 0,
            lane: None,
            rows: [Row::None; MESSAGES],
            tokens: 0,
            latch: None,
            workers: [Worker::Idle; WORKERS + 1],
            transactions: [None; WORKERS],
            losses: LOSSES,
            failures: 1,
            done: [0; MESSAGES],
            effects: [0; MESSAGES],
            disordered: false,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            actions.extend([
                Action::ClaimLog(worker),
                Action::ClaimLane(worker),
                Action::Look(worker),
                Action::Mark(worker),
                Action::Commit(worker),
                Action::RollBack(worker),
                Action::Settle(worker, Outcome::Done),
                Action::Settle(worker, Outcome::Retry),
                Action::Settle(worker, Outcome::Dead),
                Action::GoOn(worker),
            ]);
        }
        actions.extend([Action::Reap, Action::GoOn(REAPER)]);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::ClaimLog(nth) => self.claim_log(&mut state, nth)?,
            Action::ClaimLane(nth) => self.claim_lane(&mut state, nth)?,
            Action::Look(nth) => self.look(&mut state, nth)?,
            Action::Mark(nth) => self.mark(&mut state, nth)?,
            Action::Commit(nth) => state.commit(nth)?,
            Action::RollBack(nth) => {
                state.transactions[nth].take()?;
            }
            Action::Settle(nth, outcome) => self.settle(&mut state, nth, outcome)?,
            Action::Reap => self.reap(&mut state)?,
            Action::GoOn(nth) => match state.workers[nth] {
                Worker::Settling { message, outcome } => {
                    self.write(&mut state, nth, message, outcome)?;
                }
                Worker::Resting { .. } => self.rest(&mut state, nth)?,
                _ => return None,
            },
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is lost", |_: &Self, state: &State| {
                let passed = state.lane.map_or(state.cursor, |lane| lane.head);
                (0..passed.min(state.cursor)).all(|nth| state.is_resolved(nth))
            }),
            Property::always("nothing is done twice", |_, state: &State| {
                state.done.iter().all(|done| *done < 2)
            }),
            Property::always("each key is done in order", |_, state: &State| {
                !state.disordered
            }),
            Property::always("effects happen once", |_, state: &State| {
                state.effects.iter().all(|effects| *effects < 2)
            }),
            Property::always("a ready lane is never empty", |_, state: &State| {
                state.lane.is_none_or(|lane| {
                    lane.status != Status::Ready || state.pending(lane.head).contains(&true)
                })
            }),
            Property::always("what blocks a lane is dead", |_, state: &State| {
                state.lane.is_none_or(|lane| {
                    lane.status != Status::Blocked || state.rows.get(lane.head) == Some(&Row::Dead)
                })
            }),
            Property::sometimes("all is done", |_, state: &State| {
                state.done == [1; MESSAGES] && state.lane.is_none()
            }),
            Property::sometimes(
                "it is completed when its lane is lost",
                |_, state: &State| {
                    state.lane.is_none() && state.done[0] == 0 && state.effects[0] == 1
                },
            ),
            Property::sometimes("a lane is blocked", |_, state: &State| {
                state
                    .lane
                    .is_some_and(|lane| lane.status == Status::Blocked)
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{breaks, explored};

    #[test]
    fn a_key_is_handled_in_order_and_nothing_of_it_is_lost() {
        assert_eq!(
            explored(Lanes { flaw: Flaw::None }),
            [
                "a lane is blocked",
                "all is done",
                "it is completed when its lane is lost"
            ]
        );
    }

    #[test]
    fn each_rule_is_needed() {
        for (flaw, property) in [
            (Flaw::NoLatch, "nothing is lost"),
            (Flaw::NoFence, "nothing is done twice"),
            (Flaw::TokenKept, "nothing is done twice"),
            (Flaw::BusyKeyHandedOut, "each key is done in order"),
            (Flaw::HeadPassesFailure, "nothing is lost"),
            // The message's row alone sees to it that its effects happen once.
            (Flaw::CompleteNotFenced, "a ready lane is never empty"),
            (Flaw::CompleteLooksOnce, "a ready lane is never empty"),
            (Flaw::CompleteMarksAnything, "effects happen once"),
            (Flaw::SettleOverwrites, "effects happen once"),
            (Flaw::BlocksAnyway, "what blocks a lane is dead"),
        ] {
            assert!(breaks(Lanes { flaw }, property), "{flaw:?}: {property}");
        }
    }
}
