//! Processes and waits.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const CHILD: &str = "VULKAN_DEVPG_TEST_CHILD";
const MARK: &str = "<child says> ";

/// Whether this is the process that [`again`] has started.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs one test of this binary in a process, and process group, of its own,
/// where clusters go below `tmp`.
pub(crate) fn again(test: &str, tmp: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .env("TMPDIR", tmp)
        .env_remove("DATABASE_URL")
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// In the child: tells the parent something.
pub(crate) fn say(what: &str) {
    println!("{MARK}{what}");
}

/// In the parent: waits for the child to say something.
pub(crate) async fn hear(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, said)) = line.split_once(MARK) {
                let said = said.to_owned();
                // A test that cannot write its report would fail.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return said;
            }
        }
        panic!("the child ended without a word");
    };
    within("the child to speak", said).await
}

/// Waits for `work`, but not for ever.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = timeout(LIMIT, work).await;
    done.unwrap_or_else(|_| panic!("waited {LIMIT:?} for {what}"))
}

/// Waits until `done`.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let polling = async {
        while !done() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(what, polling).await;
}

/// A directory that every user can write to, as to /tmp.
pub(crate) fn open_directory() -> TempDir {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(directory.path(), open).unwrap();
    directory
}

/// The command lines of the processes that mention `path`.
pub(crate) fn processes_of(path: &Path) -> Vec<String> {
    let output = std::process::Command::new("ps")
        .args(["-A", "-ww", "-o", "args="])
        .output()
        .unwrap();
    let path = path.to_str().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let of_path = lines.lines().filter(|line| line.contains(path));
    of_path.map(str::to_owned).collect()
}

/// Connects to a URL.
pub(crate) async fn connect(url: &str) -> PgConnection {
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

/// Whether a server has a database of this name.
pub(crate) async fn has_database(url: &str, name: &str) -> bool {
    let exists = "select exists (select from pg_database where datname = $1)";
    sqlx::query_scalar(exists)
        .bind(name)
        .fetch_one(&mut connect(url).await)
        .await
        .unwrap()
}
