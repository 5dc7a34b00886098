//! Settlements, and the reaper, which settles for who has lost the lane.

use super::{Flaw, Lane, Lanes, Outcome, REAPER, Row, Run, State, Status, Worker};

impl Run {
    /// The message in work: a run has one until it is over.
    pub(super) fn next(&self) -> usize {
        1 + self.todo.iter().take_while(|todo| !**todo).count()
    }
}

impl State {
    fn accept(&mut self, message: usize) {
        let nth = message - 1;
        self.disordered |= (0..nth).any(|before| !self.is_resolved(before));
        self.done[nth] += 1;
    }
}

impl Lanes {
    pub(super) fn settle(&self, state: &mut State, nth: usize, outcome: Outcome) -> Option<()> {
        let Worker::Working(mut run) = state.workers[nth] else {
            return None;
        };
        let done = outcome == Outcome::Done;
        // A handler that has returned has no transaction; one that took too long may.
        if done && state.transactions[nth].is_some() || !done && state.failures == 0 {
            return None;
        }
        self.takes_latch(state, nth)?;
        let lane = state.lane.filter(|lane| lane.status == Status::Processing);
        let message = run.next();
        let Some(lane) = lane.filter(|lane| lane.token == run.token || self.flaw == Flaw::NoFence)
        else {
            // Stale: nothing changes, and the worker goes on with something else.
            state.latch = None;
            state.workers[nth] = Worker::Idle;
            return Some(());
        };
        state.failures -= u8::from(!done);
        if done {
            // A row of its own that is ready becomes done.
            if state.rows[message - 1] == Row::Ready && state.is_locked(message) {
                return None;
            }
            state.accept(message);
            run.todo[message - 1] = false;
            if run.todo.contains(&true) {
                state.latch = None;
                state.lane = Some(Lane {
                    head: message,
                    ..lane
                });
                if state.rows[message - 1] == Row::Ready {
                    state.rows[message - 1] = Row::Done;
                }
                state.workers[nth] = Worker::Working(run);
                return Some(());
            }
        }
        // Completed before it looked: done, whatever its handler has to say.
        let completed = state.rows[message - 1] == Row::Done;
        let outcome = if completed { Outcome::Done } else { outcome };
        state.workers[nth] = Worker::Settling { message, outcome };
        Some(())
    }

    pub(super) fn reap(&self, state: &mut State) -> Option<()> {
        let lane = state
            .lane
            .filter(|lane| lane.status == Status::Processing)?;
        if state.losses == 0 || state.workers[REAPER] != Worker::Idle {
            return None;
        }
        self.takes_latch(state, REAPER)?;
        state.losses -= 1;
        let pending = state.pending(lane.head);
        state.workers[REAPER] = match pending.iter().position(|todo| *todo) {
            Some(first) => Worker::Settling {
                message: first + 1,
                outcome: Outcome::Retry,
            },
            None => Worker::Settling {
                message: state.cursor,
                outcome: Outcome::Done,
            },
        };
        Some(())
    }

    pub(super) fn write(
        &self,
        state: &mut State,
        nth: usize,
        message: usize,
        outcome: Outcome,
    ) -> Option<()> {
        let row = state.rows[message - 1];
        let writes = match outcome {
            Outcome::Done if row == Row::Ready => Row::Done,
            Outcome::Done => Row::None,
            Outcome::Retry => Row::Ready,
            Outcome::Dead => Row::Dead,
        };
        if writes != Row::None && state.is_locked(message) {
            return None;
        }
        // What is done by now stays as it is.
        let stands = row == Row::Done && self.flaw != Flaw::SettleOverwrites;
        let writes = if stands { Row::None } else { writes };
        let passes = outcome == Outcome::Done || self.flaw == Flaw::HeadPassesFailure;
        let head = message - usize::from(!passes);
        let blocks =
            writes == Row::Dead || outcome == Outcome::Dead && self.flaw == Flaw::BlocksAnyway;
        let mut pending = state.pending(head);
        if head < message {
            pending[message - 1] = !stands;
        }
        state.workers[nth] = Worker::Resting {
            message,
            row: writes,
            head,
            status: if blocks {
                Status::Blocked
            } else {
                Status::Ready
            },
            drained: !blocks && !pending.contains(&true),
        };
        Some(())
    }

    pub(super) fn rest(&self, state: &mut State, nth: usize) -> Option<()> {
        let Worker::Resting {
            message,
            row,
            head,
            status,
            drained,
        } = state.workers[nth]
        else {
            return None;
        };
        state.latch = None;
        state.workers[nth] = Worker::Idle;
        if row != Row::None {
            state.rows[message - 1] = row;
        }
        // A reaper draws a token, for who comes too late.
        let drawn = nth == REAPER && self.flaw != Flaw::TokenKept;
        let fresh = drawn.then(|| state.draw());
        state.lane = state.lane.filter(|_| !drained).map(|lane| Lane {
            head,
            token: fresh.unwrap_or(lane.token),
            status,
        });
        Some(())
    }
}
