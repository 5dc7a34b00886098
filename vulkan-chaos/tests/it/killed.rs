use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use crate::support::{Place, kill};

/// Ends it while a worker is frozen, which therefore cannot see that its parent is gone.
fn ended_by(signal: &str) -> ExitStatus {
    let place = Place::new();
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--script", "--quick"])
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(chaos.stdout.take().unwrap()).lines();
    let frozen = lines.find(|line| line.as_ref().unwrap().contains("is frozen"));
    assert!(frozen.is_some(), "no worker was frozen");
    let workers = |processes: &[String]| {
        let workers = processes.iter().filter(|line| line.contains(" work "));
        workers.count()
    };
    assert!(workers(&place.processes()) > 0);
    kill(signal, chaos.id());
    let status = chaos.wait().unwrap();
    place.until_nothing_is_left();
    status
}

#[test]
fn sigkill_leaves_nothing() {
    assert_eq!(ended_by("KILL").signal(), Some(9));
}

#[test]
fn sigterm_leaves_nothing() {
    assert_eq!(ended_by("TERM").code(), Some(143));
}
