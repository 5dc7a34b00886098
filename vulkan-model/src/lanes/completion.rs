//! `complete()`: in a transaction that may outlast its worker's report of the message, and the lease.

use super::{Flaw, Lanes, Row, State, Transaction, Worker};

impl State {
    pub(super) fn commit(&mut self, nth: usize) -> Option<()> {
        let transaction = self.transactions[nth].filter(|x| x.marked)?;
        let place = transaction.message - 1;
        self.rows[place] = Row::Done;
        // More than one is one too many.
        self.effects[place] = 2.min(self.effects[place] + 1);
        self.transactions[nth] = None;
        Some(())
    }
}

impl Lanes {
    /// As of a snapshot from before it waits for anything.
    pub(super) fn look(&self, state: &mut State, nth: usize) -> Option<()> {
        let Worker::Working(run) = state.workers[nth] else {
            return None;
        };
        if state.transactions[nth].is_some()
            || self.flaw != Flaw::CompleteNotFenced && !state.is_held(run.token)
        {
            return None;
        }
        state.transactions[nth] = Some(Transaction {
            message: run.next(),
            token: run.token,
            marked: false,
        });
        Some(())
    }

    pub(super) fn mark(&self, state: &mut State, nth: usize) -> Option<()> {
        let transaction = state.transactions[nth].filter(|x| !x.marked)?;
        let message = transaction.message;
        if state.is_locked(message) {
            return None;
        }
        let free = matches!(state.rows[message - 1], Row::None | Row::Ready)
            || self.flaw == Flaw::CompleteMarksAnything;
        let holds = state.is_held(transaction.token)
            || matches!(
                self.flaw,
                Flaw::CompleteNotFenced | Flaw::CompleteLooksOnce | Flaw::CompleteMarksAnything
            );
        // Refused, it is rolled back.
        state.transactions[nth] = (free && holds).then_some(Transaction {
            marked: true,
            ..transaction
        });
        Some(())
    }
}
