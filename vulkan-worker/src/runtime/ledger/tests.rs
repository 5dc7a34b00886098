use std::time::{Duration, Instant};

use chrono::Utc;
use futures::FutureExt;
use serde_json::value::RawValue;
use vulkan_core::engine::{Claimed, Fate, Held, Item, Outcome, Verdict};

use super::{Ledger, Source, Unit};

const CLAIM: i64 = 7;
const BOUND: Duration = Duration::from_secs(1);

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
    }
}

fn unit(offsets: &[i64], source: Source, taken: Instant) -> Unit {
    let mut messages = offsets.iter().copied().map(message);
    Unit {
        first: messages.next().unwrap(),
        rest: messages.collect(),
        source,
        taken,
        _solo: None,
    }
}

/// A ledger that holds a claim of these messages, all queued for one handler.
fn claimed(offsets: &[i64], taken: Instant) -> Ledger {
    let ledger = Ledger::new(1);
    ledger.open_claim(*offsets.last().unwrap(), CLAIM, offsets.len(), taken);
    for &offset in offsets {
        ledger.queue(0, unit(&[offset], Source::Claim(CLAIM), taken), 1);
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
    while let Some(unit) = ledger.next(0) {
        runs.push(ledger.start(unit.first.offset, unit.source).id);
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
    let first = ledger.next(0).unwrap();
    let run = ledger.start(first.first.offset, first.source);
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
    ledger.end(run.id, Outcome::Done);
    let due = ledger.gather(start + BOUND, BOUND);
    assert_eq!(said(&due.settlement.items), [(1, Outcome::Done)]);
    assert!(due.settlement.claims.is_empty());
}

#[test]
fn a_stale_row_tells_its_handler_and_is_not_spoken_of_again() {
    let start = Instant::now();
    let ledger = claimed(&[1], start);
    let unit = ledger.next(0).unwrap();
    let run = ledger.start(unit.first.offset, unit.source);
    let due = ledger.gather(start + BOUND, BOUND);
    let stale = Verdict {
        offset: Some(1),
        fate: Fate::Stale,
    };
    assert_eq!(ledger.settled(&due, &[stale]), 1);
    assert!(run.lost.is_cancelled());
    assert!(ledger.hold(5, None).is_empty());
    ledger.end(run.id, Outcome::Done);
    assert!(ledger.gather(start + BOUND, BOUND).is_empty());
    assert_eq!(ledger.load(), 0);
}

#[test]
fn a_run_counts_as_one_reports_its_progress_and_ends_where_it_fails() {
    const LANE: Source = Source::Lane { lane: 3, token: 9 };
    let start = Instant::now();
    let ledger = Ledger::new(1);
    ledger.queue(0, unit(&[1, 2, 3, 4], LANE, start), 1);
    assert_eq!(ledger.load(), 1);
    ledger.next(0).unwrap();
    assert!(ledger.lane_next(3, 9, 1, 2).is_some());
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
    ledger.queue(0, unit(&[1, 2], LANE, start), 1);
    ledger.next(0).unwrap();
    let (lost, _) = ledger.lane_stops(3, 9);
    ledger.lose(&[Held {
        group_id: 5,
        offset: 1,
        token: 9,
        lane: Some(3),
    }]);
    assert!(lost.is_cancelled());
    assert!(ledger.lane_next(3, 9, 1, 2).is_none());
    ledger.lane_end(3, 9, 2, Outcome::Release, 1);
    assert!(ledger.gather(start + BOUND, BOUND).is_empty());
}

#[test]
fn closed_it_gives_back_what_waits_and_starts_nothing() {
    let start = Instant::now();
    let ledger = claimed(&[1, 2], start);
    let first = ledger.next(0).unwrap();
    let run = ledger.start(first.first.offset, first.source);
    ledger.close();
    assert_eq!((ledger.load(), ledger.in_work()), (1, 1));
    assert!(ledger.next(0).is_none());
    // Claimed while it was closing.
    ledger.queue(0, unit(&[9], Source::Own(8), start), 1);
    assert!(ledger.next(0).is_none());
    let due = ledger.gather(start, BOUND);
    assert_eq!(said(&due.settlement.items), [(9, Outcome::Release)]);
    // It does not count as late: nothing says that the claimer takes too much.
    assert_eq!(due.late, 0);
    ledger.end(run.id, Outcome::Done);
    let due = ledger.gather(start, BOUND);
    assert_eq!(due.settlement.claims, [(2, CLAIM)]);
    assert_eq!(said(&due.settlement.items), [(2, Outcome::Release)]);
}

#[test]
fn what_is_abandoned_goes_back_once() {
    let start = Instant::now();
    let ledger = claimed(&[1], start);
    let unit = ledger.next(0).unwrap();
    let run = ledger.start(unit.first.offset, unit.source);
    ledger.close();
    assert_eq!(ledger.abandon(), 1);
    assert!(run.lost.is_cancelled());
    let due = ledger.gather(start, BOUND);
    assert_eq!(said(&due.settlement.items), [(1, Outcome::Release)]);
    // The handler ends after all: too late to be heard.
    ledger.end(run.id, Outcome::Done);
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
