//! One message without a key: handed out with its claim, kept in a row of its own when it outlives that, completed in its handler's transaction, reaped,
//! settled late, and killing who handles it.
//!
//! The SQL is `claim()`, `settle()` with `settle_exceptions()`, `reap_messages()`, `reap_exceptions()` and `complete()`. The last has three steps
//! here, as it looks at the claim without a lock: it looks, marks the message's row, commits. Who would write that row meanwhile waits.

mod protocol;

use stateright::{Model, Property};

/// How many workers there are, and how many attempts a message has.
const WORKERS: usize = 2;
const MAX_ATTEMPTS: u8 = 2;

/// What can be wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// A settlement counts whatever token it comes with.
    NoFence,
    /// What is reaped, and handed out again, keeps its token.
    TokenKept,
    /// What is done, or settled, can be settled again under the token that it had.
    DoneStaysOpen,
    /// Attempts are counted when a failure is reported.
    CountedAtFailure,
    /// What runs on when its claim is settled gets no row of its own.
    RunningForgotten,
    /// A completion does not look whether its worker has the message.
    CompleteNotFenced,
    /// A completion marks the row of the message, whatever that is by then.
    CompleteMarksAnything,
    /// Who reaps a claim makes a message ready that is done.
    ReapOverwrites,
}

/// The protocol, or one that is almost it.
#[derive(Debug, Clone)]
struct Claims {
    flaw: Flaw,
}

/// The claim that handed the message out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Claim {
    /// There is none yet.
    None,
    Open(u8),
    Settled(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Status {
    Ready,
    Processing,
    Done,
    Dead,
}

/// The message's row among the exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    status: Status,
    token: u8,
}

/// What a worker does with the message, by the token that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Worker {
    Idle,
    Working {
        token: u8,
        /// Its handler has returned.
        handled: bool,
    },
    /// `complete()` has found its claim open.
    Looked(u8),
    /// `complete()` has marked the row, and its transaction is open.
    Marked(u8),
    /// That is committed, and not reported.
    Completed(u8),
}

/// Everything there is, as far as it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    claim: Claim,
    row: Option<Row>,
    tokens: u8,
    attempts: u8,
    workers: [Worker; WORKERS],
    /// How often somebody said what became of it, and was believed, since it was handed out last.
    results: u8,
    /// It was done, and is not.
    undone: bool,
    /// What somebody said counted, though another had the message.
    usurped: bool,
    /// How often the effects were committed.
    effects: u8,
    /// How many processes it has killed.
    kills: u8,
    /// Its handler has returned, at least once.
    handled: bool,
    losses: u8,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    /// A worker takes it.
    Claim(usize),
    /// Its handler returns.
    Handle(usize),
    /// `complete()` looks whether the worker has it.
    Look(usize),
    /// `complete()` marks its row.
    Mark(usize),
    /// The transaction commits.
    Commit(usize),
    /// Or does not.
    RollBack(usize),
    /// It is reported done.
    Done(usize),
    /// The same, and the answer is lost: it will be reported again.
    DoneUnheard(usize),
    /// It is reported failed.
    Failed(usize),
    /// Its claim is settled while it is in work.
    Running(usize),
    /// Its worker's process dies.
    Kill(usize),
    /// Its lease is lost, and somebody takes it back.
    Reap,
}

impl Model for Claims {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            claim: Claim::None,
            row: None,
            tokens: 0,
            attempts: 0,
            workers: [Worker::Idle; WORKERS],
            results: 0,
            undone: false,
            usurped: false,
            effects: 0,
            kills: 0,
            handled: false,
            losses: 3,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            actions.extend([
                Action::Claim(worker),
                Action::Handle(worker),
                Action::Look(worker),
                Action::Mark(worker),
                Action::Commit(worker),
                Action::RollBack(worker),
                Action::Done(worker),
                Action::DoneUnheard(worker),
                Action::Failed(worker),
                Action::Running(worker),
                Action::Kill(worker),
            ]);
        }
        actions.push(Action::Reap);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Claim(nth) => self.claim(&mut state, nth)?,
            Action::Handle(nth) => state.handle(nth)?,
            Action::Look(nth) => self.look(&mut state, nth)?,
            Action::Mark(nth) => self.mark(&mut state, nth)?,
            Action::Commit(nth) => state.commit(nth)?,
            Action::RollBack(nth) => state.roll_back(nth)?,
            Action::Done(nth) => {
                self.done(&mut state, nth)?;
                state.workers[nth] = Worker::Idle;
            }
            Action::DoneUnheard(nth) => self.done(&mut state, nth)?,
            Action::Failed(nth) => self.failed(&mut state, nth)?,
            Action::Running(nth) => self.running(&mut state, nth)?,
            Action::Kill(nth) => state.kill(nth)?,
            Action::Reap => self.reap(&mut state)?,
        }
        state.undone |= last.is_done() && !state.is_done();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is lost", |_: &Self, state: &State| {
                !state.is_done() || state.handled
            }),
            Property::always("one result counts", |_, state: &State| state.results < 2),
            Property::always("what is done stays done", |_, state: &State| !state.undone),
            Property::always("who has it says what becomes of it", |_, state: &State| {
                !state.usurped
            }),
            Property::always("a zombie has no say", |_, state: &State| {
                // Two that both would be believed.
                let tokens = state.workers.iter().filter_map(|worker| match worker {
                    Worker::Working { token, .. } | Worker::Looked(token) => Some(*token),
                    _ => None,
                });
                tokens.filter(|token| state.is_held(*token)).count() < 2
            }),
            Property::always("effects happen once", |_, state: &State| state.effects < 2),
            Property::always("it kills no more than its attempts", |_, state: &State| {
                state.kills <= MAX_ATTEMPTS
            }),
            Property::sometimes("it is done after it killed one", |_, state: &State| {
                state.kills == 1 && state.is_done()
            }),
            Property::sometimes("it is done while its claim is open", |_, state: &State| {
                state.is_done() && matches!(state.claim, Claim::Open(_))
            }),
            Property::sometimes("it is dead", |_, state: &State| {
                state.row.is_some_and(|row| row.status == Status::Dead)
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{breaks, explored};

    #[test]
    fn a_message_is_done_once_or_dead() {
        let found = explored(Claims { flaw: Flaw::None });
        // Discovered: what can happen.
        assert_eq!(
            found,
            [
                "it is dead",
                "it is done after it killed one",
                "it is done while its claim is open"
            ]
        );
    }

    #[test]
    fn each_rule_is_needed() {
        for (flaw, property) in [
            (Flaw::NoFence, "who has it says what becomes of it"),
            (Flaw::TokenKept, "a zombie has no say"),
            (Flaw::DoneStaysOpen, "one result counts"),
            (Flaw::CountedAtFailure, "it kills no more than its attempts"),
            (Flaw::RunningForgotten, "nothing is lost"),
            (Flaw::CompleteNotFenced, "effects happen once"),
            (Flaw::CompleteMarksAnything, "effects happen once"),
            (Flaw::ReapOverwrites, "what is done stays done"),
            (Flaw::ReapOverwrites, "effects happen once"),
        ] {
            assert!(breaks(Claims { flaw }, property), "{flaw:?}: {property}");
        }
    }
}
