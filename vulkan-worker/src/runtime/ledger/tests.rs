use std::time::{Duration, Instant};

use chrono::Utc;
use futures::FutureExt;
use serde_json::value::RawValue;
use vulkan_core::engine::{Claimed, Fate, Held, Item, Outcome, Verdict};

use super::{Ledger, Source, Unit};

const CLAIM: i64 = 7;
const BOUND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(60);

fn message(offset: i64) -> Claimed {
    Claimed {
        offset,
        kind: "a".into(),
        partition_key: None,
        payload: RawValue::from_string("null".into()).unwrap(),
        headers: None,
        published_at: Utc::now(),
        attempt: 1,
        token: CLAIM,
        claim_hi: None,
        lane: None,
        solo: false,
        again: false,
    }
}

fn unit(offsets: &[i64], source: Source, taken: Instant) -> Unit {
    let mut messages = offsets.iter().copied().map(message);
    Unit {
        first: messages.next().unwrap(),
        rest: messages.collect(),
        source,
        taken,
        until: taken + LEASE,
        _solo: None,
    }
}

/// Queues a unit. Returns whether to start another runner.
fn queue(ledger: &Ledger, handler: usize, unit: Unit, most_runners: usize) -> bool {
    ledger.queue([(handler, unit)], |_| most_runners) == [handler]
}

/// A ledger that holds a claim of these messages, all queued for one handler.
fn claimed(offsets: &[i64], taken: Instant) -> Ledger {
    let ledger = Ledger::new(1);
    ledger.open_claim(*offsets.last().unwrap(), CLAIM, offsets.len(), taken);
    for &offset in offsets {
        queue(&ledger, 0, unit(&[offset], Source::Claim(CLAIM), taken), 1);
    }
    ledger
}

fn said(items: &[Item]) -> Vec<(i64, Outcome)> {
    items
        .iter()
        .map(|item| (item.offset, item.outcome.clone()))
        .collect()
}

#[test]
fn a_claim_is_closed_once_everything_of_it_has_ended() {
    let now = Instant::now();
    let ledger = claimed(&[1, 2], now);
    let mut runs = Vec::new();
    while let Some(taken) = ledger.next(0) {
        runs.push(taken.run.unwrap());
    }
    ledger.end(runs[0], Outcome::Done);
    assert!(ledger.gather(now, BOUND).is_empty());
    let failed = Outcome::Dead { error: "no".into() };
    ledger.end(runs[1], failed.clone());
    let due = ledger.gather(now, BOUND);
    assert_eq!(due.settlement.claims, [(2, CLAIM)]);
    assert_eq!(said(&due.settlement.items), [(2, failed)]);
    assert_eq!(ledger.load(), 0);
}

#[test]
fn what_outlives_its_claim_gets_a_row_and_what_waits_goes_back() {
    let start = Instant::now();
    let ledger = claimed(&[1, 2, 3], start);
    let taken = ledger.next(0).unwrap();
    let due = ledger.gather(start + BOUND, BOUND);
    assert_eq!(due.settlement.claims, [(3, CLAIM)]);
    let mut items = said(&due.settlement.items);
    items.sort_by_key(|item| item.0);
    assert_eq!(
        items,
        [
            (1, Outcome::Running),
            (2, Outcome::Release),
            (3, Outcome::Release)
        ]
    );
    assert_eq!(due.late, 2);
    assert_eq!((ledger.load(), ledger.in_work()), (1, 1));

    // From now on it has a lease, and an end, of its own.
    let held = ledger.hold(5, None);
    assert_eq!(held.len(), 1);
    assert_eq!(
        (held[0].group_id, held[0].offset, held[0].token),
        (5, 1, CLAIM)
    );
    ledger.end(taken.run.unwrap(), Outcome::Done);
    let due = ledger.gather(start + BOUND, BOUND);
    assert_eq!(said(&due.settlement.items), [(1, Outcome::Done)]);
    assert!(due.settlement.claims.is_empty());
}

#[test]
fn a_stale_row_tells_its_handler_and_is_not_spoken_of_again() {
    let start = Instant::now();
    let ledger = claimed(&[1], start);
    let taken = ledger.next(0).unwrap();
    let due = ledger.gather(start + BOUND, BOUND);
    let stale = Verdict {
        offset: Some(1),
        fate: Fate::Stale,
    };
    assert_eq!(ledger.settled(&due, &[stale]), 1);
    assert!(taken.recall.is_lost());
    assert!(ledger.hold(5, None).is_empty());
    ledger.end(taken.run.unwrap(), Outcome::Done);
    assert!(ledger.gather(start + BOUND, BOUND).is_empty());
    assert_eq!(ledger.load(), 0);
}

#[test]
fn a_run_counts_as_one_reports_its_progress_and_ends_where_it_fails() {
    const LANE: Source = Source::Lane { lane: 3, token: 9 };
    let start = Instant::now();
    let ledger = Ledger::new(1);
    queue(&ledger, 0, unit(&[1, 2, 3, 4], LANE, start), 1);
    assert_eq!(ledger.load(), 1);
    ledger.next(0).unwrap();
    assert!(ledger.lane_next(3, 9, 1, 2));
    assert!(ledger.gather(start, BOUND).is_empty());
    let due = ledger.gather(start + BOUND, BOUND);
    assert_eq!(said(&due.settlement.items), [(1, Outcome::Progress)]);
    let held = ledger.hold(5, None);
    assert_eq!((held[0].offset, held[0].lane), (2, Some(3)));
    let failed = Outcome::Dead { error: "no".into() };
    ledger.lane_end(3, 9, 2, failed.clone(), 3);
    let due = ledger.gather(start + BOUND, BOUND);
    assert_eq!(said(&due.settlement.items), [(2, failed)]);
    assert_eq!((ledger.load(), ledger.in_work()), (0, 0));
}

#[test]
fn a_lost_lane_goes_on_with_nothing_and_says_nothing() {
    const LANE: Source = Source::Lane { lane: 3, token: 9 };
    let start = Instant::now();
    let ledger = Ledger::new(1);
    queue(&ledger, 0, unit(&[1, 2], LANE, start), 1);
    let recall = ledger.next(0).unwrap().recall;
    ledger.lose(&[Held {
        group_id: 5,
        offset: 1,
        token: 9,
        lane: Some(3),
    }]);
    assert!(recall.is_lost());
    assert!(!ledger.lane_next(3, 9, 1, 2));
    ledger.lane_end(3, 9, 2, Outcome::Release, 1);
    assert!(ledger.gather(start + BOUND, BOUND).is_empty());
}

/// It is asked who else may take its kind.
#[test]
fn a_claim_stays_open_for_what_is_neither_queued_nor_in_work() {
    let start = Instant::now();
    let ledger = Ledger::new(1);
    ledger.open_claim(3, CLAIM, 3, start);
    for offset in [1, 2] {
        queue(&ledger, 0, unit(&[offset], Source::Claim(CLAIM), start), 1);
    }
    let taken = ledger.next(0).unwrap();
    let due = ledger.gather(start + BOUND, BOUND);
    assert!(due.is_empty(), "the second is given back with the claim");
    assert_eq!(
        (ledger.hold(5, Some(start + BOUND)).len(), ledger.load()),
        (1, 1)
    );
    let outcome = Outcome::Snooze { after: BOUND };
    ledger.refuse(&unit(&[3], Source::Claim(CLAIM), start), outcome.clone());
    let due = ledger.gather(start + BOUND, BOUND);
    assert_eq!(due.settlement.claims, [(3, CLAIM)]);
    let said = said(&due.settlement.items);
    assert_eq!(
        said,
        [(2, Outcome::Release), (3, outcome), (1, Outcome::Running)]
    );
    ledger.end(taken.run.unwrap(), Outcome::Done);
}

#[test]
fn closed_it_gives_back_what_waits_and_starts_nothing() {
    let start = Instant::now();
    let ledger = claimed(&[1, 2], start);
    let taken = ledger.next(0).unwrap();
    ledger.close();
    assert_eq!((ledger.load(), ledger.in_work()), (1, 1));
    assert!(ledger.next(0).is_none());
    // Claimed while it was closing.
    queue(&ledger, 0, unit(&[9], Source::Own(8), start), 1);
    assert!(ledger.next(0).is_none());
    let due = ledger.gather(start, BOUND);
    assert_eq!(said(&due.settlement.items), [(9, Outcome::Release)]);
    // It does not count as late: nothing says that the claimer takes too much.
    assert_eq!(due.late, 0);
    ledger.end(taken.run.unwrap(), Outcome::Done);
    let due = ledger.gather(start, BOUND);
    assert_eq!(due.settlement.claims, [(2, CLAIM)]);
    assert_eq!(said(&due.settlement.items), [(2, Outcome::Release)]);
}

#[test]
fn what_is_abandoned_goes_back_once() {
    let start = Instant::now();
    let ledger = claimed(&[1], start);
    let taken = ledger.next(0).unwrap();
    ledger.close();
    assert_eq!(ledger.abandon(), 1);
    assert!(taken.recall.is_lost());
    let due = ledger.gather(start, BOUND);
    assert_eq!(said(&due.settlement.items), [(1, Outcome::Release)]);
    // The handler ends after all: too late to be heard.
    ledger.end(taken.run.unwrap(), Outcome::Done);
    assert!(ledger.gather(start, BOUND).is_empty());
}

/// With every slot of the process taken by other groups, nothing of this one is in work that would
/// tell its claimer of the room by ending.
#[test]
fn what_is_given_back_unstarted_makes_room() {
    let taken = Instant::now();
    let ledger = claimed(&[1], taken);
    assert_eq!(ledger.load(), 1);
    assert!(ledger.room.notified().now_or_never().is_none());

    let due = ledger.gather(taken + BOUND, BOUND);
    assert_eq!(due.late, 1);
    assert_eq!(due.settlement.claims, [(1, CLAIM)]);
    assert_eq!(said(&due.settlement.items), [(1, Outcome::Release)]);
    assert_eq!(ledger.load(), 0);
    assert!(ledger.room.notified().now_or_never().is_some());
}

/// A claim can come to its end at any moment: there is none at which a message is neither queued nor in work.
#[test]
fn what_is_taken_from_the_queue_is_in_work() {
    let start = Instant::now();
    let ledger = claimed(&[1], start);
    let taken = ledger.next(0).unwrap();
    let due = ledger.gather(start + BOUND, BOUND);
    assert_eq!(said(&due.settlement.items), [(1, Outcome::Running)]);
    ledger.end(taken.run.unwrap(), Outcome::Done);
}

#[test]
fn a_batch_has_one_message_of_each_key_and_none_that_was_tried_before() {
    let start = Instant::now();
    let ledger = Ledger::new(1);
    let lane = |lane| Source::Lane { lane, token: 9 };
    let mut again = unit(&[4], Source::Own(8), start);
    again.first.attempt = 2;
    let mut suspect = unit(&[5], Source::Own(8), start);
    suspect.first.solo = true;
    for unit in [
        unit(&[1, 6], lane(1), start),
        unit(&[2], Source::Own(8), start),
        unit(&[3], lane(3), start),
        again,
        suspect,
        unit(&[7], Source::Own(8), start),
        unit(&[8], Source::Own(8), start),
    ] {
        queue(&ledger, 0, unit, 1);
    }
    let mut batches = Vec::new();
    loop {
        let batch = ledger.next_batch(0, 3);
        if batch.is_empty() {
            break;
        }
        let offsets = batch.iter().map(|taken| taken.unit.first.offset);
        batches.push(offsets.collect::<Vec<_>>());
    }
    assert_eq!(batches, [vec![1, 2, 3], vec![4], vec![5], vec![7, 8]]);
}

#[test]
fn the_rest_of_a_run_is_handed_on_and_stays_held() {
    let start = Instant::now();
    let ledger = Ledger::new(2);
    let lane = Source::Lane { lane: 3, token: 9 };
    assert!(queue(&ledger, 0, unit(&[1, 2], lane, start), 1));
    assert_eq!(ledger.next(0).unwrap().unit.first.offset, 1);
    assert!(ledger.next(0).is_none());
    assert!(ledger.lane_next(3, 9, 1, 2));
    assert!(ledger.hand_on(1, unit(&[2], lane, start), 1));
    assert_eq!(ledger.hold(5, None)[0].offset, 2);
    let second = ledger.next(1).unwrap();
    assert_eq!(second.unit.first.offset, 2);
    ledger.lose(&ledger.hold(5, None));
    assert!(second.recall.is_lost());
    ledger.lane_end(3, 9, 2, Outcome::Done, 1);
    assert_eq!((ledger.load(), ledger.in_work()), (0, 0));

    // Closed while it waits, it goes back.
    assert!(!queue(&ledger, 1, unit(&[3, 4], lane, start), 1));
    let _ = ledger.next(1).unwrap();
    assert!(ledger.lane_next(3, 9, 3, 4));
    ledger.close();
    ledger.hand_on(1, unit(&[4], lane, start), 1);
    let due = ledger.gather(start, BOUND);
    assert_eq!(said(&due.settlement.items), [(4, Outcome::Release)]);
    assert_eq!((ledger.load(), ledger.in_work()), (0, 0));
}

/// Until then by this process's clock, which runs on while it stands still.
#[test]
fn a_lease_holds_until_it_was_extended_to() {
    const LANE: Source = Source::Lane { lane: 3, token: 9 };
    let start = Instant::now();
    let past = start.checked_sub(LEASE).unwrap();
    let ledger = claimed(&[1, 2], past);
    queue(&ledger, 0, unit(&[3, 4], LANE, past), 1);
    let [first, second, run] = [0; 3].map(|handler| ledger.next(handler).unwrap().recall);
    assert!(first.is_gone() && second.is_gone() && run.is_gone());
    // Its claim is open still; with the second message alone it fares otherwise.
    ledger.renew(&ledger.hold(5, Some(start)), start + LEASE);
    assert!(!first.is_gone() && !second.is_gone() && !run.is_gone());
    assert!(ledger.lane_next(3, 9, 3, 4));
    assert!(!ledger.lane_recall(3, 9).is_gone());
    ledger.gather(start, BOUND);
    ledger.renew(&ledger.hold(5, None)[..1], start);
    assert!(first.is_gone() && second.is_gone());
    assert!(!ledger.lane_recall(3, 9).is_gone());
}

/// An extension and a report of the same can cross: nothing is lost then, and nobody is told so.
#[test]
fn what_has_ended_is_held_no_more() {
    const LANE: Source = Source::Lane { lane: 3, token: 9 };
    const OWN: Source = Source::Own(11);
    let start = Instant::now();
    let ledger = claimed(&[1], start);
    queue(&ledger, 0, unit(&[2], LANE, start), 1);
    queue(&ledger, 0, unit(&[5], OWN, start), 1);
    let [first, _, own] = [0; 3].map(|handler| ledger.next(handler).unwrap().run);
    let asked = ledger.hold(5, Some(start + LEASE));
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|held| ledger.holds(held)));
    ledger.lane_end(3, 9, 2, Outcome::Done, 1);
    ledger.end(own.unwrap(), Outcome::Done);
    let held: Vec<_> = asked.iter().filter(|held| ledger.holds(held)).collect();
    assert_eq!(held.len(), 1, "the claim, which has not ended: {held:?}");
    ledger.end(first.unwrap(), Outcome::Done);
}
