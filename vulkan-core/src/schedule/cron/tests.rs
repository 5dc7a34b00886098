use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The ticks above `from` up to `to`, one found from the other.
fn between(expression: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
    let cron = Cron::new(expression, zone).unwrap();
    let (mut from, to) = (at(from), at(to));
    let mut ticks = Vec::new();
    while let Some(next) = cron.next_after(from).filter(|next| *next <= to) {
        assert!(next > from, "{expression} in {zone}: {next} after {from}");
        ticks.push(next.format("%dT%H:%M:%S").to_string());
        from = next;
    }
    ticks
}

/// Clocks go forward on 29 March 2026 at 01:00 UTC in Zurich and London, on 8 March at 10:00 UTC in Los
/// Angeles, and on 3 October at 15:30 UTC on Lord Howe, there by half an hour.
#[test]
fn a_time_that_does_not_exist_comes_after_the_gap() {
    let table = [
        // 02:30 does not exist, 03:00 does, and 01:30 and 03:30 are as ever.
        (
            "30 2 * * *",
            "Europe/Zurich",
            "28T00:00:00Z",
            &["28T01:30:00", "29T01:00:00", "30T00:30:00"][..],
        ),
        (
            "30 1 * * *",
            "Europe/Zurich",
            "28T00:00:00Z",
            &["28T00:30:00", "29T00:30:00", "29T23:30:00"],
        ),
        (
            "30 3 * * *",
            "Europe/Zurich",
            "28T00:00:00Z",
            &["28T02:30:00", "29T01:30:00", "30T01:30:00"],
        ),
        (
            "0 0 * * *",
            "Europe/London",
            "28T12:00:00Z",
            &["29T00:00:00", "29T23:00:00"],
        ),
        (
            "30 1 * * *",
            "Europe/London",
            "28T12:00:00Z",
            &["29T01:00:00", "30T00:30:00"],
        ),
    ];
    for (expression, zone, from, expected) in table {
        let mut ticks = between(
            expression,
            zone,
            &format!("2026-03-{from}"),
            "2026-03-30T12:00:00Z",
        );
        ticks.truncate(expected.len());
        assert_eq!(ticks, *expected, "{expression} in {zone}");
    }
    let ticks = between(
        "30 2 * * *",
        "America/Los_Angeles",
        "2026-03-07T12:00:00Z",
        "2026-03-09T12:00:00Z",
    );
    assert_eq!(ticks, ["08T10:00:00", "09T09:30:00"]);
    let ticks = between(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-02T00:00:00Z",
        "2026-10-04T20:00:00Z",
    );
    assert_eq!(ticks, ["02T15:45:00", "03T15:30:00", "04T15:15:00"]);
}

#[test]
fn what_repeats_within_the_day_leaves_the_gap_out() {
    let ticks = between(
        "30 2,14 * * *",
        "Europe/Zurich",
        "2026-03-28T12:00:00Z",
        "2026-03-30T12:00:00Z",
    );
    assert_eq!(ticks, ["28T13:30:00", "29T12:30:00", "30T00:30:00"]);
    let ticks = between(
        "*/30 * * * *",
        "Europe/Zurich",
        "2026-03-29T00:00:00Z",
        "2026-03-29T02:00:00Z",
    );
    assert_eq!(
        ticks,
        ["29T00:30:00", "29T01:00:00", "29T01:30:00", "29T02:00:00"]
    );
    let ticks = between(
        "0 */2 * * *",
        "Europe/Zurich",
        "2026-03-28T22:00:00Z",
        "2026-03-29T05:00:00Z",
    );
    assert_eq!(ticks, ["28T23:00:00", "29T02:00:00", "29T04:00:00"]);
}

/// Clocks go back on 25 October 2026 at 01:00 UTC in Zurich and London, on 1 November at 09:00 UTC in Los
/// Angeles, and on 4 April at 15:00 UTC on Lord Howe, there by half an hour.
#[test]
fn a_time_that_exists_twice_comes_once() {
    let ticks = between(
        "30 2 * * *",
        "Europe/Zurich",
        "2026-10-24T12:00:00Z",
        "2026-10-26T12:00:00Z",
    );
    assert_eq!(ticks, ["25T00:30:00", "26T01:30:00"]);
    let ticks = between(
        "30 1 * * *",
        "Europe/London",
        "2026-10-24T12:00:00Z",
        "2026-10-26T12:00:00Z",
    );
    assert_eq!(ticks, ["25T00:30:00", "26T01:30:00"]);
    let ticks = between(
        "30 1 * * *",
        "America/Los_Angeles",
        "2026-10-31T12:00:00Z",
        "2026-11-02T12:00:00Z",
    );
    assert_eq!(ticks, ["01T08:30:00", "02T09:30:00"]);
    let ticks = between(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-03T20:00:00Z",
        "2026-04-05T20:00:00Z",
    );
    assert_eq!(ticks, ["04T14:45:00", "05T15:15:00"]);
    // The second of the two is not the tick of a schedule that was put between them.
    let ticks = between(
        "30 2 * * *",
        "Europe/Zurich",
        "2026-10-25T00:45:00Z",
        "2026-10-26T12:00:00Z",
    );
    assert_eq!(ticks, ["26T01:30:00"]);
}

#[test]
fn what_repeats_within_the_day_comes_both_times() {
    let ticks = between(
        "*/30 * * * *",
        "Europe/Zurich",
        "2026-10-24T23:30:00Z",
        "2026-10-25T02:00:00Z",
    );
    assert_eq!(
        ticks,
        [
            "25T00:00:00",
            "25T00:30:00",
            "25T01:00:00",
            "25T01:30:00",
            "25T02:00:00"
        ]
    );
    let ticks = between(
        "30 * * * *",
        "America/Los_Angeles",
        "2026-11-01T07:00:00Z",
        "2026-11-01T10:30:00Z",
    );
    assert_eq!(
        ticks,
        ["01T07:30:00", "01T08:30:00", "01T09:30:00", "01T10:30:00"]
    );
}

/// What comes next depends on the time it is asked for alone, whatever the clock does around it.
#[test]
fn no_tick_depends_on_where_the_search_began() {
    for zone in [
        "Europe/Zurich",
        "America/Los_Angeles",
        "Australia/Lord_Howe",
        "UTC",
        "Asia/Kathmandu",
    ] {
        for expression in [
            "30 2 * * *",
            "*/20 * * * *",
            "15,45 1-3 * * *",
            "0 */3 * * *",
            "*/7 30 1,2 * * *",
        ] {
            let cron = Cron::new(expression, zone).unwrap();
            for (from, to) in [
                ("2026-03-07T20:00:00Z", "2026-03-09T20:00:00Z"),
                ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
                ("2026-04-03T20:00:00Z", "2026-04-05T20:00:00Z"),
                ("2026-10-03T00:00:00Z", "2026-10-04T20:00:00Z"),
                ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
                ("2026-10-31T20:00:00Z", "2026-11-02T12:00:00Z"),
            ] {
                let (from, to) = (at(from), at(to));
                let ticks: Vec<_> =
                    std::iter::successors(cron.next_after(from), |tick| cron.next_after(*tick))
                        .take_while(|tick| *tick <= to)
                        .collect();
                assert!(
                    ticks.is_sorted_by(|one, next| one < next),
                    "{expression} in {zone}: {ticks:?}"
                );
                let mut time = from;
                while time < to {
                    let expected = ticks.iter().find(|tick| **tick > time);
                    if let Some(expected) = expected {
                        assert_eq!(
                            cron.next_after(time),
                            Some(*expected),
                            "{expression} in {zone} after {time}"
                        );
                    }
                    time += chrono::TimeDelta::seconds(601);
                }
            }
        }
    }
}

#[test]
fn of_many_missed_ticks_the_newest_are_found() {
    let second = Cron::new("* * * * * *", "UTC").unwrap();
    let (due, now) = (at("2026-01-01T00:00:00Z"), at("2026-09-01T00:00:00.5Z"));
    let (ticks, next) = second.ticks(due, now, 3).unwrap();
    assert_eq!(
        ticks,
        [
            at("2026-08-31T23:59:58Z"),
            at("2026-08-31T23:59:59Z"),
            at("2026-09-01T00:00:00Z")
        ]
    );
    assert_eq!(next, at("2026-09-01T00:00:01Z"));

    let (ticks, next) = second.ticks(now, now, 3).unwrap();
    assert_eq!(
        (ticks.as_slice(), next),
        (&[now][..], at("2026-09-01T00:00:01Z"))
    );

    let yearly = Cron::new("@yearly", "UTC").unwrap();
    let (ticks, next) = yearly.ticks(at("2020-01-01T00:00:00Z"), now, 100).unwrap();
    assert_eq!(ticks.len(), 7);
    assert_eq!(
        (ticks[0], ticks[6], next),
        (at("2020-01-01T00:00:00Z"), due, at("2027-01-01T00:00:00Z"))
    );
}

#[test]
fn fields_are_read_as_cron_reads_them() {
    let next = |expression: &str| {
        let tick = Cron::new(expression, "UTC")
            .unwrap()
            .next_after(at("2026-11-21T08:00:30Z"));
        tick.unwrap().format("%FT%T").to_string()
    };
    // A Saturday.
    assert_eq!(next("* * * * *"), "2026-11-21T08:01:00");
    assert_eq!(next("*/20 * * * * *"), "2026-11-21T08:00:40");
    assert_eq!(next("0 9 * * MON-FRI"), "2026-11-23T09:00:00");
    assert_eq!(next("0 9 * * 7"), "2026-11-22T09:00:00");
    assert_eq!(next("0 0 L * *"), "2026-11-30T00:00:00");
    assert_eq!(next("0 0 29 2 *"), "2028-02-29T00:00:00");
    assert_eq!(next("0 0 13 * FRI"), "2026-11-27T00:00:00");
    assert_eq!(next("0 9 * * FRI#2"), "2026-12-11T09:00:00");
    assert_eq!(next("0 9 * * FRI#L"), "2026-11-27T09:00:00");
    assert_eq!(next("0 9 15W * *"), "2026-12-15T09:00:00");
    assert_eq!(next("0 9 1,29W * *"), "2026-11-30T09:00:00");
    assert_eq!(next("@hourly"), "2026-11-21T09:00:00");
}

#[test]
fn a_bad_expression_names_its_field() {
    let told = |expression: &str| Cron::new(expression, "UTC").unwrap_err().to_string();
    for (expression, beginning) in [
        ("61 * * * *", "the minute \"61\" of"),
        ("* 24 * * *", "the hour \"24\" of"),
        ("* * 32 * *", "the day of month \"32\" of"),
        ("* * * 13 *", "the month \"13\" of"),
        ("* * * * FRY", "the day of week \"FRY\" of"),
        ("60 * * * * *", "the second \"60\" of"),
        ("*/0 * * * *", "the minute \"*/0\" of"),
        ("a\0 * * * *", "the minute \"a\\0\" of"),
        ("", "cron expression \"\" has 0 fields"),
        ("* * * *", "cron expression \"* * * *\" has 4 fields"),
        (
            "0 0 0 1 1 * 2030",
            "cron expression \"0 0 0 1 1 * 2030\" has 7 fields",
        ),
        ("0 0 30 2 *", "cron expression \"0 0 30 2 *\" never comes"),
        (
            "0 0 31 4,6,9,11 *",
            "cron expression \"0 0 31 4,6,9,11 *\" never comes",
        ),
        (&"9".repeat(100_000), "cron expression \"999"),
    ] {
        let told = told(expression);
        assert!(told.starts_with(beginning), "{told}");
        assert!(told.len() < 600, "{told}");
    }
    assert!(
        Cron::new("@daily", "Mars/Olympus")
            .unwrap_err()
            .to_string()
            .contains("\"Mars/Olympus\"")
    );
}
