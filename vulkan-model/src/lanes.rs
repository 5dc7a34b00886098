//! One partition key: claims of the log that meet it, the lane that holds its messages, workers that may be late, and a reaper.
//!
//! What the SQL does under the group's latch in two statements, it does here in two steps, so that the latch matters: a claim of the log looks
//! for the lane and moves the cursor after; whoever gives a lane back looks for its next message and deletes the lane after. The SQL is
//! `claim_log()`, `claim_lanes()`, `settle_lanes()`, `rest_lanes()`, `reap_lanes()` and `complete()`.

use stateright::{Model, Property};

/// How many messages the key has, how many workers there are, and how often leases are lost.
const MESSAGES: u8 = 3;
const WORKERS: usize = 2;
const LOSSES: u8 = 2;

/// What can be wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Claims and settlements do not exclude each other.
    NoLatch,
    /// A settlement counts whatever token it comes with.
    NoFence,
    /// What is reaped, and handed out again, keeps its token.
    TokenKept,
    /// A claim hands out new messages of a key that has its lane.
    BusyKeyHandedOut,
    /// A handler's transaction commits whoever has the message by now.
    CompleteNotFenced,
    /// A failed message is passed over like a done one.
    HeadPassesFailure,
}

/// The protocol, or one that is almost it.
#[derive(Debug, Clone)]
pub struct Lanes {
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// The lane of the key: what is unresolved lies above its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane {
    head: u8,
    token: u8,
    held: bool,
}

/// A run that a worker has, or believes to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    next: u8,
    last: u8,
    token: u8,
}

/// Where a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worker {
    /// It has nothing.
    Idle,
    /// It claims from the log, and has looked whether the key has its lane.
    Claiming {
        /// It has.
        lane: bool,
        /// Where the cursor was.
        cursor: u8,
    },
    /// It has a run.
    Working(Run),
    /// It gives a lane back up to a head, and has looked for the next message.
    Resting {
        /// Everything up to here is resolved.
        head: u8,
        /// There is none.
        drained: bool,
    },
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    cursor: u8,
    lane: Option<Lane>,
    tokens: u8,
    latch: Option<usize>,
    workers: [Worker; WORKERS],
    losses: u8,
    failures: u8,
    /// How often each message was accepted as done.
    done: [u8; MESSAGES as usize],
    /// How often the effects of each were committed.
    effects: [u8; MESSAGES as usize],
    /// A message was accepted before one in front of it.
    disordered: bool,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// A worker begins to claim from the log, or goes on with it.
    ClaimLog(usize),
    /// A worker takes the lane, which is ready.
    ClaimLane(usize),
    /// A worker's transaction with the effects of the next message commits, its message marked done.
    Complete(usize),
    /// A worker reports its next message done.
    Done(usize),
    /// A worker reports its next message failed.
    Failed(usize),
    /// A worker puts the lane in order that it has given back.
    Rest(usize),
    /// The lease of the lane is lost, and somebody takes it back.
    Reap,
}

impl Lanes {
    fn takes_latch(&self, state: &State, worker: usize) -> bool {
        self.flaw == Flaw::NoLatch || state.latch.is_none_or(|holder| holder == worker)
    }

    /// Whether what a worker says still counts.
    fn holds(&self, state: &State, run: Run) -> bool {
        let lane = state.lane.filter(|lane| lane.held);
        lane.is_some_and(|lane| self.flaw == Flaw::NoFence || lane.token == run.token)
    }
}

impl State {
    fn draw(&mut self) -> u8 {
        self.tokens += 1;
        self.tokens
    }

    fn accept(&mut self, message: u8) {
        let nth = usize::from(message - 1);
        self.disordered |= self.done[..nth].contains(&0);
        self.done[nth] += 1;
    }
}

impl Model for Lanes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            cursor: 0,
            lane: None,
            tokens: 0,
            latch: None,
            workers: [Worker::Idle; WORKERS],
            losses: LOSSES,
            failures: 1,
            done: [0; MESSAGES as usize],
            effects: [0; MESSAGES as usize],
            disordered: false,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            actions.extend([
                Action::ClaimLog(worker),
                Action::ClaimLane(worker),
                Action::Complete(worker),
                Action::Done(worker),
                Action::Failed(worker),
                Action::Rest(worker),
            ]);
        }
        actions.push(Action::Reap);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::ClaimLog(nth) => match state.workers[nth] {
                Worker::Idle if state.cursor < MESSAGES && self.takes_latch(last, nth) => {
                    state.latch = Some(nth);
                    let lane = state.lane.is_some() && self.flaw != Flaw::BusyKeyHandedOut;
                    let cursor = state.cursor;
                    state.workers[nth] = Worker::Claiming { lane, cursor };
                }
                Worker::Claiming { lane, cursor } => {
                    state.latch = None;
                    // The primary key of the claims: one of two that did not exclude each other fails.
                    if state.cursor != cursor {
                        state.workers[nth] = Worker::Idle;
                        return Some(state);
                    }
                    state.cursor += 1;
                    state.workers[nth] = Worker::Idle;
                    if !lane {
                        let token = state.draw();
                        state.lane = Some(Lane {
                            head: cursor,
                            token,
                            held: true,
                        });
                        state.workers[nth] = Worker::Working(Run {
                            next: cursor + 1,
                            last: cursor + 1,
                            token,
                        });
                    }
                }
                _ => return None,
            },
            Action::ClaimLane(nth) => {
                let lane = state
                    .lane
                    .filter(|lane| !lane.held && lane.head < last.cursor)?;
                if state.workers[nth] != Worker::Idle {
                    return None;
                }
                let token = if self.flaw == Flaw::TokenKept {
                    lane.token
                } else {
                    state.draw()
                };
                state.lane = Some(Lane {
                    token,
                    held: true,
                    ..lane
                });
                state.workers[nth] = Worker::Working(Run {
                    next: lane.head + 1,
                    last: state.cursor,
                    token,
                });
            }
            Action::Complete(nth) => {
                let Worker::Working(run) = state.workers[nth] else {
                    return None;
                };
                let effects = &mut state.effects[usize::from(run.next - 1)];
                let marked = *effects > 0;
                let fenced = self.flaw != Flaw::CompleteNotFenced;
                if fenced && (marked || !self.holds(last, run)) || *effects > 1 {
                    return None;
                }
                *effects += 1;
            }
            Action::Done(nth) | Action::Failed(nth) => {
                let Worker::Working(run) = state.workers[nth] else {
                    return None;
                };
                let failed = matches!(action, Action::Failed(_));
                if !self.takes_latch(last, nth) || failed && state.failures == 0 {
                    return None;
                }
                if !self.holds(last, run) {
                    // Stale: nothing changes, and the worker goes on with something else.
                    state.workers[nth] = Worker::Idle;
                    return Some(state);
                }
                if failed {
                    state.failures -= 1;
                } else {
                    state.accept(run.next);
                }
                let passed = !failed || self.flaw == Flaw::HeadPassesFailure;
                let head = run.next - u8::from(!passed);
                if !failed && run.next < run.last {
                    state.lane.as_mut()?.head = head;
                    state.workers[nth] = Worker::Working(Run {
                        next: run.next + 1,
                        ..run
                    });
                } else {
                    state.latch = Some(nth);
                    let drained = head >= state.cursor;
                    state.workers[nth] = Worker::Resting { head, drained };
                }
            }
            Action::Rest(nth) => {
                let Worker::Resting { head, drained } = state.workers[nth] else {
                    return None;
                };
                state.latch = None;
                state.workers[nth] = Worker::Idle;
                if drained {
                    state.lane = None;
                } else if let Some(lane) = &mut state.lane {
                    lane.head = head;
                    lane.held = false;
                }
            }
            Action::Reap => {
                let mut lane = state.lane.filter(|lane| lane.held)?;
                // Who gives it back holds the latch, and its row.
                let resting = |worker: &Worker| matches!(worker, Worker::Resting { .. });
                if state.losses == 0 || state.latch.is_some() || state.workers.iter().any(resting) {
                    return None;
                }
                state.losses -= 1;
                if self.flaw != Flaw::TokenKept {
                    lane.token = state.draw();
                }
                lane.held = false;
                state.lane = Some(lane);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is lost", |_: &Self, state: &State| {
                let open = state.lane.map_or(state.cursor, |lane| lane.head);
                let handed_back = state
                    .workers
                    .iter()
                    .any(|w| matches!(w, Worker::Resting { .. }));
                let resolved = usize::from(open.min(state.cursor));
                handed_back || state.done[..resolved].iter().all(|done| *done > 0)
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
            Property::sometimes("all is done", |_, state: &State| {
                state.done == [1; MESSAGES as usize] && state.lane.is_none()
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::broken;

    #[test]
    fn a_key_is_handled_in_order_and_nothing_of_it_is_lost() {
        assert_eq!(broken(Lanes { flaw: Flaw::None }), ["all is done"]);
    }

    #[test]
    fn each_rule_is_needed() {
        for (flaw, property) in [
            (Flaw::NoLatch, "nothing is lost"),
            (Flaw::NoFence, "nothing is done twice"),
            (Flaw::TokenKept, "nothing is done twice"),
            (Flaw::BusyKeyHandedOut, "each key is done in order"),
            (Flaw::CompleteNotFenced, "effects happen once"),
            (Flaw::HeadPassesFailure, "nothing is lost"),
        ] {
            let found = broken(Lanes { flaw });
            assert!(found.contains(&property), "{flaw:?}: {found:?}");
        }
    }
}
