//! Measurements, small and short.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

async fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vulkan-bench"))
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_quick_run_measures_what_it_says() {
    let output = bench(&[
        "run",
        "--quick",
        "--json",
        "drain",
        "keys",
        "transactions",
        "disk",
    ])
    .await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let scenarios = found["scenarios"].as_array().unwrap();
    let names: Vec<&str> = scenarios
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["drain", "keys", "transactions", "disk"]);
    for scenario in scenarios {
        for part in ["sides", "goals"] {
            let part = scenario[part].as_array().unwrap();
            assert!(!part.is_empty(), "{scenario}");
            for one in part {
                let values = one["values"].as_array().unwrap();
                assert!(
                    !values.is_empty() && values.iter().all(Value::is_number),
                    "{one}"
                );
            }
        }
    }
    let cost = &scenarios[0]["sides"][1]["cost"];
    assert_eq!(cost[0], 50_000, "all of it was handled: {cost}");
    assert!(
        cost[1]["peak_bytes"]
            .as_u64()
            .is_none_or(|bytes| bytes > 1_000_000),
        "{cost}"
    );
    let order = scenarios[1]["goals"].as_array().unwrap().last().unwrap();
    assert_eq!(order["name"], "messages out of order");
    assert_eq!(order["values"], serde_json::json!([0.0]));
    assert!(scenarios[3]["goals"][0]["values"][0].as_f64().unwrap() > 150.0);
}

#[tokio::test]
async fn what_there_is_not_is_named() {
    let output = bench(&["run", "drian"]).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("\"drian\"") && errors.contains("vulkan-bench list"),
        "{errors}"
    );
}

#[tokio::test]
async fn the_list_names_every_scenario_once() {
    let output = bench(&["list"]).await;
    let list = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(names.contains(&"drain") && names.contains(&"held"));
}
