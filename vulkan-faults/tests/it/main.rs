//! A selection of the faults in their short form: what must not be found must not be found, however slow the machine is.
//! How fast work flows again is for a run on a machine of its own: `cargo run --release -p vulkan-faults -- run`.

use std::process::Command;

fn run(arguments: &[&str]) -> (bool, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_vulkan-faults"))
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    (ran.status.success(), text)
}

#[test]
fn nothing_is_lost_that_was_acknowledged() {
    let faults = ["f1", "f5", "f8", "f27"];
    let mut arguments = vec!["run", "--json", "--rate", "40", "--jobs", "2"];
    arguments.extend(faults);
    let (_, told) = run(&arguments);
    let outcomes: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{told}")))
        .collect();
    assert_eq!(outcomes.len(), faults.len(), "{told}");
    for outcome in outcomes {
        let counts = &outcome["counts"];
        assert!(counts["messages"].as_u64() > Some(0), "{outcome:#}");
        assert_eq!(counts["lost"], 0, "{outcome:#}");
        assert_eq!(counts["anomalies"], serde_json::json!({}), "{outcome:#}");
    }
}

#[test]
fn every_fault_is_listed_with_its_two_forms() {
    let (done, told) = run(&["list"]);
    assert!(done);
    for fault in (1..=18).chain(24..=28).chain(30..=33).chain([36]) {
        let name = format!(" f{fault} ");
        assert!(told.contains(&name), "{name} is not there:\n{told}");
    }
    let (done, _) = run(&["run", "f0"]);
    assert!(!done);
}
