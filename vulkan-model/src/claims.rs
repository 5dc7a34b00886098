//! One message without a key: handed out with its claim, kept in a row of its own when it outlives that, reaped, settled late, and killing who
//! handles it.
//!
//! The SQL is `claim()`, `settle_exceptions()`, `reap_claim()`, `reap_exceptions()` and `complete()`.

use stateright::{Model, Property};

/// How many workers there are, and how many attempts a message has.
const WORKERS: usize = 2;
const MAX_ATTEMPTS: u8 = 2;

/// What can be wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// A settlement counts whatever token it comes with.
    NoFence,
    /// What is reaped, and handed out again, keeps its token.
    TokenKept,
    /// Attempts are counted when a failure is reported.
    CountedAtFailure,
    /// What runs on when its claim is settled gets no row of its own.
    RunningForgotten,
    /// A handler's transaction commits whoever has the message by now.
    CompleteNotFenced,
}

/// The protocol, or one that is almost it.
#[derive(Debug, Clone)]
pub struct Claims {
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// Where the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Above the cursor.
    Log,
    /// In an open claim.
    Claim,
    /// In a row of its own, in work.
    Row,
    /// In a row of its own, waiting.
    Ready,
    /// At its end.
    Done,
    /// At its end, given up.
    Dead,
}

/// What a worker knows of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    token: u8,
    /// Its handler has returned.
    handled: bool,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    place: Place,
    token: u8,
    attempts: u8,
    workers: [Option<Held>; WORKERS],
    /// How often a settlement said done and was believed.
    accepted: u8,
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
pub enum Action {
    /// A worker takes it.
    Claim(usize),
    /// Its handler returns.
    Handle(usize),
    /// Its handler's transaction commits, the message marked done.
    Complete(usize),
    /// It is reported done.
    Done(usize),
    /// It is reported failed.
    Failed(usize),
    /// Its claim is settled while it is in work.
    Running(usize),
    /// It kills its worker's process.
    Kill(usize),
    /// Its lease is lost, and somebody takes it back.
    Reap,
}

impl Claims {
    fn in_work(place: Place) -> bool {
        matches!(place, Place::Claim | Place::Row)
    }

    fn holds(&self, state: &State, held: Held) -> bool {
        Self::in_work(state.place) && (self.flaw == Flaw::NoFence || state.token == held.token)
    }

    fn after_failure(state: &State) -> Place {
        if state.attempts >= MAX_ATTEMPTS {
            Place::Dead
        } else {
            Place::Ready
        }
    }
}

impl Model for Claims {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            place: Place::Log,
            token: 0,
            attempts: 0,
            workers: [None; WORKERS],
            accepted: 0,
            usurped: false,
            effects: 0,
            kills: 0,
            handled: false,
            losses: 4,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            actions.extend([
                Action::Claim(worker),
                Action::Handle(worker),
                Action::Complete(worker),
                Action::Done(worker),
                Action::Failed(worker),
                Action::Running(worker),
                Action::Kill(worker),
            ]);
        }
        actions.push(Action::Reap);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let counts_at_claim = self.flaw != Flaw::CountedAtFailure;
        match action {
            Action::Claim(nth) => {
                if state.workers[nth].is_some() || !matches!(state.place, Place::Log | Place::Ready)
                {
                    return None;
                }
                // A row that is reaped under the same token is handed out under it, too.
                if self.flaw != Flaw::TokenKept || state.place == Place::Log {
                    state.token += 1;
                }
                state.attempts += u8::from(counts_at_claim);
                state.place = if state.place == Place::Log {
                    Place::Claim
                } else {
                    Place::Row
                };
                state.workers[nth] = Some(Held {
                    token: state.token,
                    handled: false,
                });
            }
            Action::Handle(nth) => {
                let held = state.workers[nth].as_mut().filter(|held| !held.handled)?;
                held.handled = true;
                state.handled = true;
            }
            Action::Complete(nth) => {
                let held = state.workers[nth]?;
                let fenced = self.flaw != Flaw::CompleteNotFenced;
                if state.effects > 1 || fenced && !self.holds(last, held) {
                    return None;
                }
                state.effects += 1;
                state.handled = true;
                state.place = Place::Done;
                state.workers[nth] = None;
            }
            Action::Done(nth) => {
                let held = state.workers[nth].filter(|held| held.handled)?;
                state.workers[nth] = None;
                if self.holds(last, held) {
                    state.accepted += 1;
                    state.place = Place::Done;
                    state.usurped |= held.token != last.token;
                }
            }
            Action::Failed(nth) => {
                let held = state.workers[nth]?;
                state.workers[nth] = None;
                if self.holds(last, held) {
                    state.usurped |= held.token != last.token;
                    state.attempts += u8::from(!counts_at_claim);
                    state.token += 1;
                    state.place = Self::after_failure(&state);
                }
            }
            Action::Running(nth) => {
                let held = state.workers[nth].filter(|held| !held.handled)?;
                if state.place != Place::Claim || state.token != held.token {
                    return None;
                }
                // Without a row, the end of its claim says that it is done.
                state.place = if self.flaw == Flaw::RunningForgotten {
                    Place::Done
                } else {
                    Place::Row
                };
            }
            Action::Kill(nth) => {
                state.workers[nth].take()?;
                state.kills += 1;
            }
            Action::Reap => {
                if !Self::in_work(state.place) || state.losses == 0 {
                    return None;
                }
                state.losses -= 1;
                if self.flaw != Flaw::TokenKept {
                    state.token += 1;
                }
                state.place = Self::after_failure(&state);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is lost", |_: &Self, state: &State| {
                state.place != Place::Done || state.handled
            }),
            Property::always("one result counts", |_, state: &State| state.accepted < 2),
            Property::always("who has it says what becomes of it", |_, state: &State| {
                !state.usurped
            }),
            Property::always("a zombie has no say", |_, state: &State| {
                // Two that both would be believed.
                let believed = state.workers.iter().flatten();
                let believed = believed.filter(|held| held.token == state.token);
                !Self::in_work(state.place) || believed.count() < 2
            }),
            Property::always("effects happen once", |_, state: &State| state.effects < 2),
            Property::always("it kills no more than its attempts", |_, state: &State| {
                state.kills <= MAX_ATTEMPTS
            }),
            Property::sometimes("it is done after it killed one", |_, state: &State| {
                state.kills == 1 && state.place == Place::Done
            }),
            Property::sometimes("it is dead", |_, state: &State| state.place == Place::Dead),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::broken;

    #[test]
    fn a_message_is_done_once_or_dead() {
        let found = broken(Claims { flaw: Flaw::None });
        assert_eq!(found, ["it is dead", "it is done after it killed one"]);
    }

    #[test]
    fn each_rule_is_needed() {
        for (flaw, property) in [
            (Flaw::NoFence, "who has it says what becomes of it"),
            (Flaw::TokenKept, "a zombie has no say"),
            (Flaw::CountedAtFailure, "it kills no more than its attempts"),
            (Flaw::RunningForgotten, "nothing is lost"),
            (Flaw::CompleteNotFenced, "effects happen once"),
        ] {
            let found = broken(Claims { flaw });
            assert!(found.contains(&property), "{flaw:?}: {found:?}");
        }
    }
}
