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
        // The fault was there, and all was kept but what takes a machine of its own.
        let targets = outcome["targets"].as_array().unwrap();
        let kinds: Vec<_> = targets.iter().map(|target| &target["kind"]).collect();
        assert!(kinds.iter().any(|kind| *kind == "inflicted"), "{outcome:#}");
        for target in targets {
            assert!(
                target["met"] == true || target["kind"] == "speed",
                "{target:#}"
            );
        }
    }
}

#[test]
fn a_fault_that_is_none_is_no_run() {
    let (done, told) = run(&["list"]);
    assert!(done, "{told}");
    let (done, _) = run(&["run", "f0"]);
    assert!(!done);
}
