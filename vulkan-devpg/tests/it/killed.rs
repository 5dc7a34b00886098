use std::path::Path;

use tokio::process::Child;
use vulkan_devpg::{FAST, Postgres};

use crate::support::{again, hear, is_child, open_directory, processes_of, say, until, within};

/// In the child: has a cluster until the end.
async fn hold() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    say(postgres.directory().unwrap().to_str().unwrap());
    within("the end", std::future::pending::<()>()).await;
}

/// In the parent: sends the signal to the child alone, or to all of its group.
async fn signal(name: &str, child: &mut Child, group: bool) {
    let id = child.id().unwrap();
    let target = if group {
        format!("-{id}")
    } else {
        id.to_string()
    };
    let kill = tokio::process::Command::new("kill")
        .args(["-s", name, "--", &target])
        .status();
    assert!(kill.await.unwrap().success());
    within("the child to end", child.wait()).await.unwrap();
}

/// Waits until neither a file nor a process below `tmp` is left.
async fn nothing_left(tmp: &Path) {
    let empty = || std::fs::read_dir(tmp).unwrap().next().is_none();
    until("the cluster's directory to go", empty).await;
    let no_process = || processes_of(tmp).is_empty();
    until("the server and its watchdog to go", no_process).await;
}

async fn killed(test: &str, name: &str, group: bool) {
    if is_child() {
        return hold().await;
    }
    let tmp = open_directory();
    let mut child = again(test, tmp.path()).spawn().unwrap();
    let directory = hear(&mut child).await;
    assert!(Path::new(&directory).starts_with(tmp.path()));
    assert!(processes_of(tmp.path()).len() > 1);
    signal(name, &mut child, group).await;
    nothing_left(tmp.path()).await;
}

#[tokio::test]
async fn sigkill_leaves_nothing() {
    killed("killed::sigkill_leaves_nothing", "KILL", false).await;
}

#[tokio::test]
async fn sigterm_leaves_nothing() {
    killed("killed::sigterm_leaves_nothing", "TERM", false).await;
}

/// A terminal sends ctrl-c to the whole foreground group.
#[tokio::test]
async fn ctrl_c_leaves_nothing() {
    killed("killed::ctrl_c_leaves_nothing", "INT", true).await;
}

#[tokio::test]
async fn sigkill_of_the_group_leaves_nothing() {
    let test = "killed::sigkill_of_the_group_leaves_nothing";
    killed(test, "KILL", true).await;
}

#[tokio::test]
async fn a_panic_leaves_nothing() {
    if is_child() {
        let _postgres = Postgres::start_private(FAST).await.unwrap();
        panic!("on purpose");
    }
    let tmp = open_directory();
    let child = again("killed::a_panic_leaves_nothing", tmp.path()).output();
    let child = within("the child to end", child).await.unwrap();
    assert!(!child.status.success());
    nothing_left(tmp.path()).await;
}

#[tokio::test]
async fn sigkill_during_the_start_leaves_nothing() {
    if is_child() {
        return hold().await;
    }
    let tmp = open_directory();
    let test = "killed::sigkill_during_the_start_leaves_nothing";
    let mut child = again(test, tmp.path()).spawn().unwrap();
    let begun = || {
        let mut clusters = std::fs::read_dir(tmp.path()).unwrap().flatten();
        clusters.any(|cluster| cluster.path().join("data").exists())
    };
    until("the data directory to appear", begun).await;
    signal("KILL", &mut child, false).await;
    nothing_left(tmp.path()).await;
}

/// A stopped server would not answer a request to end.
#[tokio::test]
async fn a_stopped_server_goes_too() {
    const TEST: &str = "killed::a_stopped_server_goes_too";
    if is_child() {
        return hold().await;
    }
    let tmp = open_directory();
    let mut child = again(TEST, tmp.path()).spawn().unwrap();
    let directory = hear(&mut child).await;
    let pid_file = Path::new(&directory).join("data/postmaster.pid");
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let stop = std::process::Command::new("kill")
        .args(["-s", "STOP", pid.lines().next().unwrap()])
        .status();
    assert!(stop.unwrap().success());
    signal("KILL", &mut child, false).await;
    nothing_left(tmp.path()).await;
}

/// The cluster of a static has no destructor to rely on.
#[tokio::test]
async fn a_shared_cluster_goes_with_the_process() {
    if is_child() {
        let database = vulkan_devpg::shared().await.create_database().await;
        return drop(database.unwrap());
    }
    let tmp = open_directory();
    let test = "killed::a_shared_cluster_goes_with_the_process";
    let child = again(test, tmp.path()).output();
    let child = within("the child to end", child).await.unwrap();
    assert!(child.status.success());
    nothing_left(tmp.path()).await;
}
