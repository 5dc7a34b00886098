use std::process::{Command, Stdio};

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
        assert!(number(8) > 0, "{said}");
    }
    assert_eq!(table.len(), 2, "{said}");
    assert_ne!(table[0][9], "0", "{said}");
    assert_eq!(table[1][9], "0", "{said}");
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
