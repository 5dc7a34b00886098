use std::collections::HashSet;
use std::time::Instant;

use vulkan_core::engine::Held;

use super::{Ledger, Source};

impl Ledger {
    /// What has a lease that must not run out: messages in work with a row of their own, lanes, and
    /// claims that should have been settled before that moment and were not.
    pub(crate) fn hold(&self, group_id: i32, claims_before: Option<Instant>) -> Vec<Held> {
        let book = self.book();
        let own = book
            .running
            .iter()
            .filter_map(|(_, running)| match running.source {
                Source::Own(token) if !running.recall.is_lost() => {
                    Some((running.offset, token, None))
                }
                _ => None,
            });
        let lanes = book
            .lanes
            .iter()
            .filter(|(_, held)| !held.lost)
            .map(|(&(lane, token), held)| (held.at, token, Some(lane)));
        let claims = book
            .claims
            .iter()
            .filter(|(_, claim)| claims_before.is_some_and(|moment| claim.taken < moment))
            .map(|(&token, claim)| (claim.hi, token, None));
        own.chain(lanes)
            .chain(claims)
            .map(|(offset, token, lane)| Held {
                group_id,
                offset,
                token,
                lane,
            })
            .collect()
    }

    /// Notes until when leases were extended.
    pub(crate) fn renew(&self, held: &[Held], until: Instant) {
        let book = self.book();
        let renewed: HashSet<(Option<i64>, i64)> =
            held.iter().map(|held| (held.lane, held.token)).collect();
        for (_, running) in &book.running {
            let (Source::Claim(token) | Source::Own(token) | Source::Lane { token, .. }) =
                running.source;
            if renewed.contains(&(None, token)) {
                running.recall.renew(until);
            }
        }
        for (&(lane, token), held) in &book.lanes {
            if renewed.contains(&(Some(lane), token)) {
                held.recall.renew(until);
            }
        }
    }

    /// Whether it is still held here. What has ended since it was looked at is being reported, or has been.
    pub(crate) fn holds(&self, held: &Held) -> bool {
        let book = self.book();
        match held.lane {
            Some(lane) => book.lanes.contains_key(&(lane, held.token)),
            None => {
                let own = Source::Own(held.token);
                let mut running = book.running.iter().map(|(_, running)| running);
                book.claims.contains_key(&held.token)
                    || running.any(|running| running.offset == held.offset && running.source == own)
            }
        }
    }

    /// Notes leases that are lost: their handlers are told, and what becomes of them is not reported.
    pub(crate) fn lose(&self, lost: &[Held]) {
        for held in lost {
            match held.lane {
                Some(lane) => self.lose_lane(lane, held.token),
                None => self.lose_own(held.offset, held.token),
            }
        }
    }

    /// Notes which messages are cancelled, by offset and token, in place of those noted before: those
    /// in work are told, those that wait their turn here will not begin.
    pub(crate) fn cancel(&self, cancelled: HashSet<(i64, i64)>) {
        let mut book = self.book();
        if cancelled.is_empty() && book.cancelled.is_empty() {
            return;
        }
        for (_, running) in &book.running {
            let (Source::Claim(token) | Source::Own(token) | Source::Lane { token, .. }) =
                running.source;
            if cancelled.contains(&(running.offset, token)) {
                running.recall.cancel();
            }
        }
        for (&(_, token), held) in &book.lanes {
            if cancelled.contains(&(held.at, token)) {
                held.recall.cancel();
            }
        }
        book.cancelled = cancelled;
    }

    /// Notes that the lease of a message with a row of its own is lost.
    pub(super) fn lose_own(&self, offset: i64, token: i64) {
        for (_, running) in &self.book().running {
            if running.offset == offset && running.source == Source::Own(token) {
                running.recall.lose();
            }
        }
    }

    fn lose_lane(&self, lane: i64, token: i64) {
        if let Some(held) = self.book().lanes.get_mut(&(lane, token)) {
            held.lost = true;
            held.recall.lose();
        }
    }
}
