//! A place to look whether anything is left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

/// Longer than anything takes on a machine that others use, too.
const LIMIT: Duration = Duration::from_secs(240);

/// The `TMPDIR` of one run, which every user can write to, as to /tmp.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("chaos").tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o1777);
        std::fs::set_permissions(directory.path(), open).unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The command lines of the processes that mention it: the server's, its guard's, and the workers'.
    pub(crate) fn processes(&self) -> Vec<String> {
        let output = std::process::Command::new("ps")
            .args(["-A", "-ww", "-o", "args="])
            .output()
            .unwrap();
        let path = self.path().to_str().unwrap();
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let ours = lines.lines().filter(|line| line.contains(path));
        ours.map(str::to_owned).collect()
    }

    /// Runs a statement in the database of the run, behind everybody's back, and returns how many rows it concerned: none, too,
    /// where there is no server to run it.
    pub(crate) async fn execute(&self, sql: &'static str) -> u64 {
        let server = std::fs::read_dir(self.path()).unwrap().next();
        let Some(Ok(directory)) = server else {
            return 0;
        };
        let options = PgConnectOptions::new_without_pgpass()
            .socket(directory.path())
            .username("postgres")
            .database("postgres");
        let Ok(mut connection) = options.connect().await else {
            return 0;
        };
        let done = sqlx::query(sql).execute(&mut connection).await;
        done.map_or(0, |done| done.rows_affected())
    }

    /// Waits until there is neither a file nor a process of it.
    pub(crate) fn until_nothing_is_left(&self) {
        until("all processes to end", || match self.processes() {
            none if none.is_empty() => Ok(()),
            left => Err(left.join("\n")),
        });
        until("all files to go", || {
            match std::fs::read_dir(self.path()).unwrap().next() {
                None => Ok(()),
                Some(entry) => Err(format!("{entry:?}")),
            }
        });
    }
}

/// Waits until it is so, or fails with what is so instead.
pub(crate) fn until(what: &str, holds: impl Fn() -> Result<(), String>) {
    let begun = Instant::now();
    while let Err(instead) = holds() {
        assert!(
            begun.elapsed() < LIMIT,
            "waited in vain for {what}:\n{instead}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn kill(signal: &str, pid: u32) {
    let kill = std::process::Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
}
