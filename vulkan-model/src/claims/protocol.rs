//! What each step does.

use super::{Claim, Claims, Flaw, MAX_ATTEMPTS, Row, State, Status, Worker};

impl State {
    fn draw(&mut self) -> u8 {
        self.tokens += 1;
        self.tokens
    }

    /// A transaction has written the message's row, and is open: who would write it waits, or skips it.
    fn is_locked(&self) -> bool {
        self.workers
            .iter()
            .any(|worker| matches!(worker, Worker::Marked(_)))
    }

    pub(super) fn is_done(&self) -> bool {
        match self.row {
            Some(row) => row.status == Status::Done,
            None => matches!(self.claim, Claim::Settled(_)),
        }
    }

    /// Whether this token has the message.
    pub(super) fn is_held(&self, token: u8) -> bool {
        match self.row {
            Some(row) => row.status == Status::Processing && row.token == token,
            None => self.claim == Claim::Open(token),
        }
    }

    /// What becomes of it when an attempt has failed.
    fn freed(&self, token: u8) -> Option<Row> {
        let status = if self.attempts >= MAX_ATTEMPTS {
            Status::Dead
        } else {
            Status::Ready
        };
        Some(Row { status, token })
    }

    fn believe(&mut self, token: u8) {
        self.usurped |= !self.is_held(token) && !self.is_done();
        // More than one is one too many.
        self.results = 2.min(self.results + 1);
    }

    pub(super) fn handle(&mut self, nth: usize) -> Option<()> {
        match &mut self.workers[nth] {
            Worker::Working { handled, .. } if !*handled => *handled = true,
            _ => return None,
        }
        self.handled = true;
        Some(())
    }

    pub(super) fn commit(&mut self, nth: usize) -> Option<()> {
        let Worker::Marked(token) = self.workers[nth] else {
            return None;
        };
        self.row = Some(Row {
            status: Status::Done,
            token,
        });
        self.handled = true;
        self.results = 2.min(self.results + 1);
        self.effects = 2.min(self.effects + 1);
        self.workers[nth] = Worker::Completed(token);
        Some(())
    }

    pub(super) fn roll_back(&mut self, nth: usize) -> Option<()> {
        let Worker::Marked(token) = self.workers[nth] else {
            return None;
        };
        self.workers[nth] = Worker::Working {
            token,
            handled: false,
        };
        Some(())
    }

    pub(super) fn kill(&mut self, nth: usize) -> Option<()> {
        match self.workers[nth] {
            Worker::Idle => return None,
            // It has survived its message.
            Worker::Completed(_) => {}
            _ => self.kills += 1,
        }
        self.workers[nth] = Worker::Idle;
        Some(())
    }
}

impl Claims {
    /// Whether a settlement of the open claim counts.
    fn by_claim(&self, state: &State, token: u8) -> bool {
        match state.claim {
            Claim::None => false,
            Claim::Open(of) => of == token || self.flaw == Flaw::NoFence,
            Claim::Settled(of) => of == token && self.flaw == Flaw::DoneStaysOpen,
        }
    }

    /// Whether a settlement of the message's own row counts.
    fn by_row(&self, state: &State, token: u8) -> bool {
        state.row.is_some_and(|row| {
            let is_open = match row.status {
                Status::Processing => true,
                Status::Done => self.flaw == Flaw::DoneStaysOpen,
                Status::Ready | Status::Dead => false,
            };
            is_open && (row.token == token || self.flaw == Flaw::NoFence)
        })
    }

    pub(super) fn claim(&self, state: &mut State, nth: usize) -> Option<()> {
        if state.workers[nth] != Worker::Idle {
            return None;
        }
        let token = match (state.claim, state.row) {
            (Claim::None, _) => {
                let token = state.draw();
                state.claim = Claim::Open(token);
                token
            }
            (_, Some(row)) if row.status == Status::Ready && !state.is_locked() => {
                let kept = self.flaw == Flaw::TokenKept;
                let token = if kept { row.token } else { state.draw() };
                let status = Status::Processing;
                state.row = Some(Row { status, token });
                token
            }
            _ => return None,
        };
        state.attempts += u8::from(self.flaw != Flaw::CountedAtFailure);
        state.results = 0;
        let handled = false;
        state.workers[nth] = Worker::Working { token, handled };
        Some(())
    }

    /// The look at the message's own row holds it; the look at the claim holds nothing.
    pub(super) fn look(&self, state: &mut State, nth: usize) -> Option<()> {
        let Worker::Working { token, .. } = state.workers[nth] else {
            return None;
        };
        let own = state.row.is_some_and(|row| row.token == token);
        if own && state.is_locked() {
            return None;
        }
        state.workers[nth] = if self.flaw == Flaw::CompleteNotFenced && !state.is_locked()
            || own && state.is_held(token)
        {
            Worker::Marked(token)
        } else if state.claim == Claim::Open(token) {
            Worker::Looked(token)
        } else {
            Worker::Idle
        };
        Some(())
    }

    pub(super) fn mark(&self, state: &mut State, nth: usize) -> Option<()> {
        let Worker::Looked(token) = state.workers[nth] else {
            return None;
        };
        if state.is_locked() {
            return None;
        }
        // One that is there by now stands in the way, unless it is its own: its claim was settled while it ran.
        let goes = match state.row {
            None => true,
            Some(_) => state.is_held(token) || self.flaw == Flaw::CompleteMarksAnything,
        };
        state.workers[nth] = if goes {
            Worker::Marked(token)
        } else {
            Worker::Idle
        };
        Some(())
    }

    /// Whoever says that it is done closes the claim, or ends the row.
    pub(super) fn done(&self, state: &mut State, nth: usize) -> Option<()> {
        let token = match state.workers[nth] {
            Worker::Working {
                token,
                handled: true,
            } => token,
            Worker::Completed(token) => {
                // It says nothing of the message, which has its row.
                if state.claim == Claim::Open(token) {
                    state.claim = Claim::Settled(token);
                }
                return Some(());
            }
            _ => return None,
        };
        if self.by_claim(state, token) {
            state.believe(token);
            state.claim = Claim::Settled(token);
        } else if self.by_row(state, token) {
            if state.is_locked() {
                return None;
            }
            state.believe(token);
            let kept = self.flaw == Flaw::DoneStaysOpen;
            let token = if kept { token } else { state.draw() };
            let status = Status::Done;
            state.row = Some(Row { status, token });
        }
        Some(())
    }

    pub(super) fn failed(&self, state: &mut State, nth: usize) -> Option<()> {
        let Worker::Working { token, .. } = state.workers[nth] else {
            return None;
        };
        let (by_claim, by_row) = (self.by_claim(state, token), self.by_row(state, token));
        if (by_claim || by_row) && state.is_locked() {
            return None;
        }
        state.workers[nth] = Worker::Idle;
        if by_claim || by_row {
            state.believe(token);
            state.attempts += u8::from(self.flaw == Flaw::CountedAtFailure);
            let fresh = state.draw();
            // What has its row already keeps it.
            if by_row || state.row.is_none() {
                state.row = state.freed(fresh);
            }
        }
        if by_claim {
            state.claim = Claim::Settled(token);
        }
        Some(())
    }

    /// Its worker settles the claim, whatever its handler is at just then.
    pub(super) fn running(&self, state: &mut State, nth: usize) -> Option<()> {
        let token = match state.workers[nth] {
            Worker::Working {
                token,
                handled: false,
            }
            | Worker::Looked(token) => token,
            _ => return None,
        };
        if state.claim != Claim::Open(token) || state.is_locked() {
            return None;
        }
        state.claim = Claim::Settled(token);
        // Without a row, the end of its claim says that it is done.
        if state.row.is_none() && self.flaw != Flaw::RunningForgotten {
            let status = Status::Processing;
            state.row = Some(Row { status, token });
        }
        Some(())
    }

    pub(super) fn reap(&self, state: &mut State) -> Option<()> {
        if state.losses == 0 || state.is_locked() {
            return None;
        }
        state.losses -= 1;
        let kept = self.flaw == Flaw::TokenKept;
        if let Claim::Open(token) = state.claim {
            let fresh = if kept { token } else { state.draw() };
            state.claim = Claim::Settled(fresh);
            if state.row.is_none() || self.flaw == Flaw::ReapOverwrites {
                state.row = state.freed(fresh);
            }
            return Some(());
        }
        let row = state.row.filter(|row| row.status == Status::Processing)?;
        let fresh = if kept { row.token } else { state.draw() };
        state.row = state.freed(fresh);
        Some(())
    }
}
