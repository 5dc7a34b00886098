use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const MILLISECOND: u64 = 1_000_000;

fn desk(classes: &[(i32, u32)]) -> Desk {
    let classes = classes.iter().map(|&(priority, weight)| Class {
        priority,
        share: Share::new(weight),
        queue: VecDeque::new(),
    });
    Desk {
        free: 1,
        classes: classes.collect(),
    }
}

/// Lets every class wait all the time for one slot, a turn lasting as given, and counts the turns.
fn turns(desk: &mut Desk, lasting: &[u64], rounds: usize) -> Vec<usize> {
    let mut counts = vec![0; desk.classes.len()];
    let mut now = 0;
    for class in 0..desk.classes.len() {
        desk.join(class, waiter(now), now);
    }
    for _ in 0..rounds {
        let (class, _) = desk.next(now).unwrap();
        counts[class] += 1;
        desk.classes[class].share.begin(now);
        desk.join(class, waiter(now), now);
        let since = now;
        now += lasting[class] * MILLISECOND;
        desk.classes[class].share.end(since, now);
    }
    counts
}

fn waiter(since: u64) -> Waiter {
    Waiter {
        since,
        grant: oneshot::channel().0,
    }
}

#[test]
fn a_higher_priority_goes_first_as_long_as_it_waits() {
    let mut desk = desk(&[(0, 100), (1, 1)]);
    assert_eq!(turns(&mut desk, &[1, 1], 50), [0, 50]);
    desk.classes[1].queue.clear();
    assert_eq!(desk.next(0).unwrap().0, 0);
}

#[test]
fn equals_share_time_by_weight() {
    let mut even = desk(&[(0, 1), (0, 1)]);
    assert_eq!(turns(&mut even, &[1, 1], 100), [50, 50]);
    let mut uneven = desk(&[(0, 3), (0, 1)]);
    assert_eq!(turns(&mut uneven, &[1, 1], 100), [75, 25]);
    // Time counts, not turns: what takes nine times as long gets a ninth of the turns.
    let mut slow = desk(&[(0, 1), (0, 1)]);
    assert_eq!(turns(&mut slow, &[9, 1], 100), [10, 90]);
}

#[test]
fn idleness_saves_nothing_up() {
    let mut desk = desk(&[(0, 1), (0, 1)]);
    desk.join(0, waiter(0), 0);
    desk.classes[0].share.begin(0);
    desk.classes[0].share.end(0, 3_600_000 * MILLISECOND);
    // The other one comes an hour later, and does not get an hour for itself.
    let now = 3_600_000 * MILLISECOND;
    desk.join(1, waiter(now), now);
    assert_eq!(
        desk.classes[1].share.used(now),
        desk.classes[0].share.used(now)
    );
}

#[test]
fn what_still_runs_counts() {
    let mut share = Share::new(2);
    share.begin(10);
    share.begin(20);
    assert_eq!(share.used(30), (20 + 10) / 2);
    share.end(10, 30);
    assert_eq!(share.used(40), (20 + 20) / 2);
}

#[tokio::test]
async fn no_slot_is_lost_or_handed_out_twice() {
    let slots = Slots::new(3, [(0, 1), (0, 5), (7, 1)]);
    let in_use = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..60 {
        let (slots, in_use) = (Arc::clone(&slots), Arc::clone(&in_use));
        workers.spawn(async move {
            for round in 0..50 {
                let mut turn = Box::pin(slots.acquire(worker % 3));
                if (worker + round) % 7 == 0 {
                    // Gives up waiting, at times after it was granted.
                    let _ = futures::poll!(&mut turn);
                    tokio::task::yield_now().await;
                    continue;
                }
                let slot = turn.await;
                assert!(in_use.fetch_add(1, Ordering::SeqCst) < 3);
                tokio::task::yield_now().await;
                in_use.fetch_sub(1, Ordering::SeqCst);
                let slot = slots.take_turns(slot).await;
                assert!(in_use.fetch_add(1, Ordering::SeqCst) < 3);
                tokio::task::yield_now().await;
                in_use.fetch_sub(1, Ordering::SeqCst);
                drop(slot);
            }
        });
    }
    workers.join_all().await;
    assert_eq!(slots.desk().free, 3);
    assert_eq!(*slots.waiting.borrow(), None);
}

#[tokio::test]
async fn the_outranked_claim_nothing() {
    let slots = Slots::new(1, [(0, 1), (1, 1)]);
    let held = slots.acquire(0).await;
    slots.until_worthwhile(0, 0, 1).await;
    let mut important = Box::pin(slots.acquire(1));
    assert!(futures::poll!(&mut important).is_pending());
    let mut patient = Box::pin(slots.until_worthwhile(0, 0, 1));
    assert!(futures::poll!(&mut patient).is_pending());
    slots.until_worthwhile(1, 1, 1).await;
    drop(held);
    let held = important.await;
    patient.await;
    drop(held);
}

#[tokio::test]
async fn who_holds_nothing_stands_in_line_before_it_claims() {
    let slots = Slots::new(1, [(0, 1), (0, 1)]);
    slots.until_worthwhile(0, 0, 0).await;
    let held = slots.acquire(1).await;
    let mut patient = Box::pin(slots.until_worthwhile(0, 0, 0));
    assert!(futures::poll!(&mut patient).is_pending());
    drop(held);
    patient.await;
    assert_eq!(slots.desk().free, 1);
}
