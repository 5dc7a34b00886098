//! Claims: of the log, under the latch, and of the lane, without it.

use super::{Flaw, Lane, Lanes, MESSAGES, Run, State, Status, Worker};

impl Lanes {
    pub(super) fn claim_log(&self, state: &mut State, nth: usize) -> Option<()> {
        match state.workers[nth] {
            Worker::Idle if state.cursor < MESSAGES => {
                self.takes_latch(state, nth)?;
                let lane = state.lane.is_some() && self.flaw != Flaw::BusyKeyHandedOut;
                let cursor = state.cursor;
                state.workers[nth] = Worker::Claiming { lane, cursor };
            }
            Worker::Claiming { lane, cursor } => {
                state.latch = None;
                state.workers[nth] = Worker::Idle;
                // The primary key of the claims: one of two that did not exclude each other fails.
                if state.cursor != cursor {
                    return Some(());
                }
                state.cursor += 1;
                if !lane {
                    let token = state.draw();
                    state.lane = Some(Lane {
                        head: cursor,
                        token,
                        status: Status::Processing,
                    });
                    let mut todo = [false; MESSAGES];
                    todo[cursor] = true;
                    state.workers[nth] = Worker::Working(Run { todo, token });
                }
            }
            _ => return None,
        }
        Some(())
    }

    pub(super) fn claim_lane(&self, state: &mut State, nth: usize) -> Option<()> {
        let lane = state.lane.filter(|lane| lane.status == Status::Ready)?;
        match state.workers[nth] {
            // Another's row lock is skipped.
            Worker::Idle if !state.workers.contains(&Worker::Taking) => {
                state.workers[nth] = Worker::Taking;
            }
            Worker::Taking => {
                let todo = state.pending(lane.head);
                if !todo.contains(&true) {
                    state.workers[nth] = Worker::Idle;
                    return Some(());
                }
                let kept = self.flaw == Flaw::TokenKept;
                let token = if kept { lane.token } else { state.draw() };
                let status = Status::Processing;
                state.lane = Some(Lane {
                    token,
                    status,
                    ..lane
                });
                state.workers[nth] = Worker::Working(Run { todo, token });
            }
            _ => return None,
        }
        Some(())
    }
}
