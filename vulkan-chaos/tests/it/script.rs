use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::Place;

fn chaos(place: &Place, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(arguments)
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn all_attacks_lose_nothing() {
    let place = Place::new();
    let output = chaos(&place, &["--script", "--quick"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{errors}");
    // Each attack has done what it says.
    for (sentence, at_least) in [
        ("kill -9: worker", 3),
        ("written and not committed", 1),
        ("is dead of signal 9", 4),
        ("is frozen for", 1),
        ("goes on (SIGCONT)", 1),
        ("pg_ctl restart -m fast", 1),
        ("pg_ctl stop -m immediate", 2),
        ("work flowed again", 3),
        ("4 of 10 attempts fail", 2),
        ("is committed at last", 1),
        ("the snapshot is let go", 1),
        (
            "14 attacks: nothing was lost, and no payment was booked twice",
            1,
        ),
    ] {
        let times = said.matches(sentence).count();
        assert!(times >= at_least, "{sentence:?} {times} times:\n{said}");
    }
    // The zombie's message: twice in one group and once in the other.
    let told = |group: &str, text: &str| {
        (said.lines()).any(|line| line.contains(group) && line.contains(text))
    };
    assert!(
        told("email ", "(at least once)") && !told("email ", "sent once"),
        "{said}"
    );
    assert!(told("payment ", "booked once (exactly once)"), "{said}");
    let table: Vec<Vec<&str>> = said
        .lines()
        .filter(|line| line.starts_with("emails ") || line.starts_with("payments "))
        .map(|line| line.split_whitespace().collect())
        .collect();
    // The group, produced, processed, in flight, retrying, waiting, dead, lost, rerun, repeated.
    for row in &table {
        let number = |nth: usize| row[nth].parse::<i64>().unwrap();
        assert!(number(1) >= 600, "{said}");
        // A publish whose answer was lost with the server may be there without having been acknowledged.
        assert!(
            (number(1)..=number(1) + 2).contains(&(number(2) + number(6))),
            "{said}"
        );
        assert_eq!(row[3..6], ["0", "0", "0"], "{said}");
        assert_eq!(row[7], "0", "{said}");
    }
    assert_eq!(table.len(), 2, "{said}");
    assert_ne!(table[0][9], "0", "{said}");
    assert_eq!(table[1][9], "0", "{said}");
    place.until_nothing_is_left();
}

/// A payment is taken back by hand, while everything else is lost and found.
#[tokio::test]
async fn a_message_that_is_lost_is_told_and_fails_the_run() {
    let place = Place::new();
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--script", "--quick"])
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(chaos.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().contains("kill -9"))
        .unwrap()
        .unwrap();
    let take_back = "DELETE FROM chaos.payments WHERE event_offset = (SELECT min(event_offset) FROM chaos.payments)";
    while place.execute(take_back).await == 0 {
        assert!(chaos.try_wait().unwrap().is_none(), "it has ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    let said = said.join("\n");
    assert_eq!(chaos.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("14 attacks: 1 message is lost"), "{said}");
    place.until_nothing_is_left();
}

#[test]
fn a_run_that_nobody_reads_ends_and_leaves_nothing() {
    let place = Place::new();
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--script"])
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(chaos.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    assert_eq!(chaos.wait().unwrap().code(), Some(141));
    place.until_nothing_is_left();
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let place = Place::new();
    let output = chaos(&place, &[]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("chaos --script"), "{errors}");
    place.until_nothing_is_left();
}
