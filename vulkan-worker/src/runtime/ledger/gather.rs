use std::time::{Duration, Instant};

use vulkan_core::engine::{Fate, Item, Outcome, Settlement, Verdict};

use super::{Ledger, REPORT_EVERY, Running, Source};

/// What is due to be settled, and what has to be noted once it is.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) settlement: Settlement,
    /// Messages given back because they could not start in time.
    pub(crate) late: usize,
    /// Messages that it marks done, a run of a key counted as one.
    pub(crate) done: usize,
}

impl Due {
    pub(crate) fn is_empty(&self) -> bool {
        self.settlement.is_empty()
    }

    /// How many messages it speaks of, claims counted as one each.
    pub(crate) fn len(&self) -> usize {
        self.settlement.claims.len() + self.settlement.items.len()
    }
}

impl Ledger {
    /// Collects what is due: finished claims, claims that have been open long enough (what is still in
    /// work in them gets rows of its own), single messages, the progress of long runs.
    pub(crate) fn gather(&self, now: Instant, within: Duration) -> Due {
        let mut book = self.book();
        let book = &mut *book;
        let deadline = now.checked_sub(within);
        let late = if book.closed {
            book.give_back(None);
            0
        } else {
            deadline.map_or(0, |deadline| book.give_back(Some(deadline)))
        };
        let mut due = Due {
            late,
            ..Due::default()
        };
        book.claims.retain(|&token, claim| {
            let over = deadline.is_some_and(|deadline| claim.taken <= deadline);
            if claim.outstanding > 0 {
                // What is neither queued nor in work is on its way to there, or its fate is being asked for: closed
                // now, the claim would mark it done.
                let in_work = || {
                    let running = book.running.iter();
                    let of_it = |running: &Running| running.source == Source::Claim(token);
                    running.filter(|(_, running)| of_it(running)).count()
                };
                if !over || in_work() < claim.outstanding {
                    return true;
                }
            }
            let said = due.settlement.items.len();
            due.settlement.claims.push((claim.hi, token));
            due.settlement.items.append(&mut claim.items);
            if claim.outstanding > 0 {
                for (_, running) in &mut book.running {
                    if running.source == Source::Claim(token) {
                        // From now on; one settlement follows the other.
                        running.source = Source::Own(token);
                        due.settlement.items.push(Item {
                            offset: running.offset,
                            token,
                            lane: None,
                            outcome: Outcome::Running,
                        });
                    }
                }
            }
            // The rest of the claim is done by its end.
            let said = due.settlement.items.len() - said;
            due.done += claim.messages.saturating_sub(said);
            false
        });
        let done = |item: &&Item| item.outcome == Outcome::Done;
        due.done += book.items.iter().filter(done).count();
        due.settlement.items.append(&mut book.items);
        for (&(lane, token), held) in &mut book.lanes {
            let Some(done) = held.done else { continue };
            if !held.lost && now.saturating_duration_since(held.reported) >= REPORT_EVERY {
                held.done = None;
                held.reported = now;
                due.settlement.items.push(Item {
                    offset: done,
                    token,
                    lane: Some(lane),
                    outcome: Outcome::Progress,
                });
            }
        }
        if late > 0 {
            // Nothing of it may be in work, whose end would tell.
            self.room.notify_one();
        }
        due
    }

    /// Notes what the database made of it. Returns how many settlements were stale.
    pub(crate) fn settled(&self, due: &Due, verdicts: &[Verdict]) -> usize {
        let stale = || {
            verdicts
                .iter()
                .filter(|verdict| verdict.fate == Fate::Stale)
        };
        let runs_on = |offset| {
            let mut items = due.settlement.items.iter();
            items.find(|item| item.offset == offset && item.outcome == Outcome::Running)
        };
        for item in stale().filter_map(|verdict| runs_on(verdict.offset?)) {
            self.lose_own(item.offset, item.token);
        }
        stale().count()
    }

    /// Gives up on everything still in work: its messages go back unfinished. Returns how many.
    pub(crate) fn abandon(&self) -> usize {
        let mut book = self.book();
        let book = &mut *book;
        let running: Vec<_> = book.running.drain().collect();
        let lanes: Vec<_> = book.lanes.drain().collect();
        let many = running.len() + lanes.len();
        for running in running
            .into_iter()
            .filter(|running| !running.recall.is_lost())
        {
            running.recall.lose();
            book.say(running.offset, running.source, Outcome::Release);
        }
        for ((lane, token), held) in lanes.into_iter().filter(|(_, held)| !held.lost) {
            held.recall.lose();
            book.items.push(Item {
                offset: held.at,
                token,
                lane: Some(lane),
                outcome: Outcome::Release,
            });
        }
        many
    }
}
