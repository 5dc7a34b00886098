use crate::checker::story::{SECOND, Story};
use crate::ledger::{Entry, How};

#[test]
fn one_attempt_begins_once() {
    let story = Story::new()
        .ok(1, 1)
        .start(1, 1, 1)
        .on(2)
        .start(9 * SECOND, 1, 1)
        .done(10 * SECOND, 1, 1)
        .kill(2, 1);
    assert_eq!(story.delivered(1, "done", 1).anomalies(), ["double-claim"]);
}

#[test]
fn what_was_given_back_or_lost_in_a_crash_may_begin_again() {
    let given_back = Story::new()
        .ok(1, 1)
        .start(1, 1, 1)
        .cut(2, 1, 1)
        .on(2)
        .run_at(9, 1, 1);
    assert_eq!(given_back.delivered(1, "done", 1).anomalies(), [""; 0]);
    let crashed = |at| {
        let story = Story::new().ok(1, 1).run_at(1, 1, 1);
        let story = story.note(at, Entry::Crash).on(2).run_at(99 * SECOND, 1, 1);
        story.delivered(1, "done", 1).anomalies()
    };
    assert_eq!(crashed(SECOND), [""; 0]);
    assert_eq!(crashed(4 * SECOND), [""; 0]);
    // By then it was on disk.
    assert_eq!(crashed(9 * SECOND), ["double-claim", "resurrected"]);
}

#[test]
fn what_the_standby_had_not_got_may_begin_again() {
    let story = |behind| {
        let story = Story::new().ok(1, 1).run_at(10 * SECOND, 1, 1);
        let story = story.note(behind, Entry::Behind);
        let story = story.note(30 * SECOND, Entry::Crash).on(2);
        let story = story.run_at(31 * SECOND, 1, 1);
        story.delivered(1, "done", 1).anomalies()
    };
    assert_eq!(story(9 * SECOND), [""; 0]);
    assert_eq!(story(20 * SECOND), ["double-claim", "resurrected"]);
}

#[test]
fn attempts_never_go_down() {
    let story = |last: fn(Story) -> Story| {
        let story = Story::new().ok(1, 1).run_at(1, 1, 1).kill(2, 1).on(2);
        let story = story.start(6 * SECOND, 1, 2).failed(7 * SECOND, 1, 2).on(3);
        last(story)
            .start(8 * SECOND, 1, 1)
            .failed(9 * SECOND, 1, 1)
            .on(2)
    };
    let end = |story: Story| story.run_at(20 * SECOND, 1, 3).delivered(1, "done", 3);
    assert_eq!(end(story(|story| story)).anomalies(), ["double-claim"]);
    let stopped = story(|story| story.stop(2 * SECOND, 3).cont(8 * SECOND - 1, 3));
    assert_eq!(end(stopped).anomalies(), [""; 0]);
}

#[test]
fn nobody_gets_a_message_before_its_lease_is_over() {
    let story = |at: u64| {
        let story = Story::new().ok(1, 1).start(1, 1, 1).on(2);
        let story = story.start(at, 1, 2).done(at + SECOND, 1, 2);
        story.delivered(1, "done", 2)
    };
    let early = story(SECOND);
    assert_eq!(early.anomalies(), ["early-reclaim"]);
    assert_eq!(early.kill(2, 1).anomalies(), ["early-reclaim"]);
    // However late it is: who has done nothing wrong keeps its lease, and is told if it does not.
    let late = story(6 * SECOND);
    assert_eq!(late.anomalies(), ["early-reclaim"]);
    let told = late.clone().on(1).told(7 * SECOND, 1);
    assert_eq!(told.anomalies(), ["early-reclaim"]);
    assert_eq!(late.clone().kill(2, 1).anomalies(), [""; 0]);
    assert_eq!(late.clone().stop(2, 1).anomalies(), [""; 0]);
    assert_eq!(
        late.clone().kill(7 * SECOND, 1).anomalies(),
        ["early-reclaim"]
    );
    let for_us = 4 * SECOND;
    let slow = |took_us| {
        let group = "single".into();
        let settled = Entry::Settled { group, took_us };
        late.clone().on(1).note(4 * SECOND, settled).anomalies()
    };
    assert_eq!(slow(2 * SECOND), [""; 0]);
    assert_eq!(slow(SECOND), ["early-reclaim"]);
    let stalled = |at| late.clone().on(1).note(at, Entry::Stalled { for_us });
    assert_eq!(stalled(7 * SECOND).anomalies(), [""; 0]);
    assert_eq!(stalled(11 * SECOND).anomalies(), ["early-reclaim"]);
    let (call, error) = ("extend".to_owned(), "no answer".to_owned());
    let trouble = Entry::Trouble { call, error };
    let silent = late.clone().on(1).note(7 * SECOND, trouble);
    assert_eq!(silent.anomalies(), [""; 0]);
    let gone = late.note(2 * SECOND, Entry::Gone { what: "it".into() });
    let back = gone.note(3 * SECOND, Entry::Back { what: "it".into() });
    assert_eq!(back.anomalies(), [""; 0]);
    // All leases are over at once when the clock jumps.
    let stepped = story(SECOND).note(SECOND / 2, Entry::Step);
    assert_eq!(stepped.anomalies(), [""; 0]);
}

#[test]
fn nobody_gets_a_key_s_run_from_a_healthy_worker() {
    let story = |at: u64| {
        let story = Story::new().keyed(1, 1, "k").start(1, 1, 1).on(2);
        let story = story.start(at, 1, 2).done(at + SECOND, 1, 2);
        story.delivered(1, "done", 2)
    };
    assert_eq!(story(3 * SECOND).anomalies(), ["early-reclaim"]);
    assert_eq!(story(3 * SECOND).stop(2, 1).anomalies(), [""; 0]);
    assert_eq!(story(SECOND).stop(2, 1).anomalies(), ["early-reclaim"]);
}

#[test]
fn of_a_key_s_run_only_what_was_lost_begins_again_with_the_same_attempt() {
    let run = |story: Story, at| story.start(at, 1, 1).failed(at + 1, 1, 1);
    let twice = run(run(Story::new().keyed(1, 1, "k"), 1).on(2), 9 * SECOND);
    let twice = twice.run_at(20 * SECOND, 1, 2).delivered(1, "done", 2);
    assert_eq!(twice.anomalies(), ["double-claim"]);
    assert_eq!(twice.clone().kill(3, 1).anomalies(), [""; 0]);
    // To be told is no reason.
    assert_eq!(
        twice.on(1).told(6 * SECOND, 1).anomalies(),
        ["double-claim"]
    );
}

#[test]
fn what_is_given_back_by_an_operator_begins_with_its_first_attempt() {
    let dead = Story::new()
        .ok(1, 1)
        .start(1, 1, 1)
        .failed(2, 1, 1)
        .redriven(SECOND, 1);
    let again = dead
        .on(2)
        .start(2 * SECOND, 1, 1)
        .failed(3 * SECOND, 1, 1)
        .start(4 * SECOND, 1, 2)
        .done(5 * SECOND, 1, 2)
        .delivered(1, "done", 2);
    assert_eq!(again.anomalies(), [""; 0]);
    // Each time once.
    let twice = again.on(1).start(9 * SECOND, 1, 2).failed(9 * SECOND, 1, 2);
    assert_eq!(twice.anomalies(), ["double-claim", "resurrected"]);
}

#[test]
fn the_last_attempt_says_what_becomes_of_it() {
    let story = |attempts| {
        let story = Story::new()
            .ok(1, 1)
            .start(1, 1, 1)
            .stop(2, 1)
            .on(2)
            .start(6 * SECOND, 1, 2)
            .done(7 * SECOND, 1, 2)
            .cont(8 * SECOND, 1);
        story
            .on(1)
            .done(8 * SECOND, 1, 1)
            .delivered(1, "done", attempts)
    };
    assert_eq!(story(1).anomalies(), ["stale-ack-accepted"]);
    assert_eq!(story(2).anomalies(), [""; 0]);
    // Nobody did the third.
    assert_eq!(story(3).anomalies(), ["stale-ack-accepted"]);
}

#[test]
fn who_has_lost_a_message_does_not_end_it() {
    let story = |told| {
        let story = Story::new().ok(1, 1).start(1, 1, 1);
        let story = story.told(told, 1).done(3 * SECOND, 1, 1);
        story.delivered(1, "done", 1)
    };
    assert_eq!(story(2 * SECOND).anomalies(), ["stale-ack-accepted"]);
    // It may be told of it after it has reported, which crossed.
    assert_eq!(story(4 * SECOND).anomalies(), [""; 0]);
    let crash = story(2 * SECOND).note(2 * SECOND, Entry::Crash);
    assert_eq!(crash.anomalies(), [""; 0]);
}

#[test]
fn what_is_done_stays_done() {
    let story = |at: u64| {
        let story = Story::new().ok(1, 1).run_at(1, 1, 1);
        let again = story.on(2).start(at, 1, 2).done(at + SECOND, 1, 2);
        again.delivered(1, "done", 2)
    };
    // At once, or later: nothing had happened to its process.
    assert_eq!(story(2 * SECOND).anomalies(), ["resurrected"]);
    assert_eq!(story(60 * SECOND).anomalies(), ["resurrected"]);
    // It had been killed before it could report, or after it must have done so.
    let killed = |at| story(60 * SECOND).kill(at, 1).anomalies();
    assert_eq!(killed(SECOND), [""; 0]);
    assert_eq!(killed(30 * SECOND), ["resurrected"]);
    // A late report is a report.
    let late = |killed| {
        let settled = Entry::Settled {
            group: "single".into(),
            took_us: 0,
        };
        let story = story(60 * SECOND).on(1).note(20 * SECOND, settled.clone());
        let story = story.note(30 * SECOND, settled).kill(killed, 1);
        story.anomalies()
    };
    assert_eq!(late(30 * SECOND), [""; 0]);
    assert_eq!(late(40 * SECOND), ["resurrected"]);
}

#[test]
fn attempts_have_an_end() {
    let mut story = Story::new().ok(1, 1).may_die(1);
    for attempt in 1..=4 {
        let at = u64::from(attempt) * 10 * SECOND;
        story = story
            .start(at, 1, attempt)
            .end(at + 1, 1, attempt, How::Failed);
    }
    assert_eq!(
        story.delivered(1, "dead", 4).anomalies(),
        ["attempt-overrun"]
    );
}
