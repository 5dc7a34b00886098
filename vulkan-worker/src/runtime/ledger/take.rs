use super::{Book, Ledger, Recall, Running, Source, Unit};

/// A unit that a runner has taken: from here on it is in work.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) unit: Unit,
    /// By what its end is told; a run of a key goes by its lane.
    pub(crate) run: Option<usize>,
    /// How its first message is called back.
    pub(crate) recall: Recall,
}

impl Ledger {
    /// The next unit for a runner of a handler. `None` ends the runner.
    pub(crate) fn next(&self, handler: usize) -> Option<Taken> {
        let mut book = self.book();
        let next = book.pop(handler);
        if next.is_none() {
            book.runners[handler] -= 1;
        }
        next
    }

    /// The next units for a runner of a handler that takes several messages at once, of each key one. None end the
    /// runner. What was tried before stands alone: it may be what made its batch fail.
    pub(crate) fn next_batch(&self, handler: usize, most: usize) -> Vec<Taken> {
        let mut book = self.book();
        let mut batch = Vec::new();
        while batch.len() < most && (batch.is_empty() || book.next_is_fresh(handler)) {
            let Some(taken) = book.pop(handler) else {
                break;
            };
            let alone = taken.unit.is_alone();
            batch.push(taken);
            if alone {
                break;
            }
        }
        if batch.is_empty() {
            book.runners[handler] -= 1;
        }
        batch
    }

    /// Queues the rest of a run, which stays held, for a handler. Returns whether to start another runner,
    /// which is then counted.
    pub(crate) fn hand_on(&self, handler: usize, rest: Unit, most_runners: usize) -> bool {
        let mut book = self.book();
        book.queues[handler].push_back(rest);
        book.wants_runner(handler, most_runners)
    }
}

impl Book {
    /// Takes a unit out of its queue and notes it as in work, in one step: a claim that is closed in between would
    /// take its message for done.
    fn pop(&mut self, handler: usize) -> Option<Taken> {
        if self.closed {
            return None;
        }
        let unit = self.queues[handler].pop_front()?;
        let (run, recall) = match unit.source {
            // Held since it was queued.
            Source::Lane { lane, token } => {
                let held = self.lanes.get(&(lane, token));
                (
                    None,
                    held.map(|held| held.recall.clone()).unwrap_or_default(),
                )
            }
            source @ (Source::Claim(token) | Source::Own(token)) => {
                let offset = unit.first.offset;
                let recall = Recall::at(unit.until);
                self.note_cancelled(offset, token, &recall);
                let running = Running {
                    offset,
                    source,
                    recall: recall.clone(),
                };
                (Some(self.running.insert(running)), recall)
            }
        };
        Some(Taken { unit, run, recall })
    }

    fn next_is_fresh(&self, handler: usize) -> bool {
        self.queues[handler]
            .front()
            .is_some_and(|unit| !unit.is_alone())
    }
}
