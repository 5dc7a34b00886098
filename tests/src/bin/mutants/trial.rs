//! The tests, run on the source with a bug in it.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::apply::Copy;
use super::entry::{Mutant, root};

/// Tests that hang have noticed, too.
const LIMIT: Duration = Duration::from_secs(600);

/// What takes long is tried last, and by itself.
const SLOW: [&str; 3] = [
    "engine::interleavings::enumerated",
    "engine::random",
    "worker::",
];

/// The same histories for every mutant.
const HISTORIES: [(&str, &str); 3] = [
    ("VULKAN_TEST_SEED", "1"),
    ("VULKAN_HISTORIES", "2"),
    ("VULKAN_HISTORY_STEPS", "80"),
];

pub(crate) enum Verdict {
    /// By the first test that failed.
    Caught(String),
    Survived,
}

/// Where mutants are tried.
pub(crate) struct Trial {
    tests: PathBuf,
    migrations: Copy,
    /// Tests that have passed with nothing to catch.
    sound: HashSet<String>,
}

impl Trial {
    pub(crate) fn new() -> Result<Self, String> {
        let tests = build(root())?;
        Ok(Self {
            // Several may run at once, each with mutants of its own.
            migrations: Copy::new(
                scratch(&tests).join(format!("sql-{}", std::process::id())),
                "migrations",
            )?,
            tests,
            sound: HashSet::new(),
        })
    }

    pub(crate) fn run(&mut self, mutant: &Mutant) -> Result<Verdict, String> {
        self.migrations.restore()?;
        if mutant.is_sql() {
            self.migrations.apply(mutant)?;
            let verdict = self.first_that_fails(&self.tests, mutant);
            self.migrations.restore()?;
            return self.sound(verdict?);
        }
        let source = Copy::new(scratch(&self.tests).join("source"), ".")?;
        source.apply(mutant)?;
        let tests = build(source.folder())?;
        let verdict = self.first_that_fails(&tests, mutant)?;
        self.sound(verdict)
    }

    fn first_that_fails(&self, tests: &Path, mutant: &Mutant) -> Result<Verdict, String> {
        let (slow, quick): (Vec<&str>, Vec<&str>) = mutant
            .tests
            .iter()
            .partition(|test| SLOW.iter().any(|slow| test.starts_with(slow)));
        let quick = Some(quick).filter(|quick| !quick.is_empty());
        for aimed in quick
            .into_iter()
            .chain(slow.into_iter().map(|test| vec![test]))
        {
            if let Verdict::Caught(by) = self.run_tests(tests, &aimed, &[])? {
                return Ok(Verdict::Caught(by));
            }
        }
        Ok(Verdict::Survived)
    }

    /// What fails without any bug, too, has caught nothing.
    fn sound(&mut self, verdict: Verdict) -> Result<Verdict, String> {
        let Verdict::Caught(by) = &verdict else {
            return Ok(verdict);
        };
        if self.sound.contains(by) {
            return Ok(verdict);
        }
        if let Verdict::Caught(by) = self.run_tests(&self.tests, &[by], &["--exact"])? {
            return Err(format!("{by} fails without any bug"));
        }
        self.sound.insert(by.clone());
        Ok(verdict)
    }

    fn run_tests(&self, tests: &Path, aimed: &[&str], how: &[&str]) -> Result<Verdict, String> {
        let mut child = Command::new(tests)
            .args(aimed)
            .args(how)
            .env(
                "VULKAN_TESTING_MIGRATIONS",
                self.migrations.folder().join("migrations"),
            )
            .env("RUST_BACKTRACE", "0")
            .envs(HISTORIES)
            .current_dir(root().join("tests"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", tests.display()))?;
        let stdout = read(child.stdout.take());
        let stderr = read(child.stderr.take());
        let status = wait(&mut child)?;
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        let all = format!("{stdout}\n{stderr}");
        // What is no SQL any more is no bug that somebody could write and not notice.
        if all.contains("the tests' template")
            || all.contains("migrations/") && all.contains("syntax error")
        {
            return Err(format!("the migrations do not run:\n{}", tail(&all)));
        }
        let named = |suffix: &str| {
            let mut lines = stdout.lines();
            lines.find_map(|line| line.strip_prefix("test ")?.strip_suffix(suffix))
        };
        let hung = status
            .is_none()
            .then(|| named(" has been running for over 60 seconds"));
        let failed = named(" ... FAILED").or(hung.flatten());
        match (status, failed) {
            (Some(true), _) if stdout.contains("running 0 tests") => {
                Err(format!("there are no tests {aimed:?}"))
            }
            (Some(true), _) => Ok(Verdict::Survived),
            (_, Some(test)) => Ok(Verdict::Caught(test.to_owned())),
            (None, None) => Err(format!("a test hangs:\n{}", tail(&all))),
            (Some(false), None) => Err(format!("the tests did not run:\n{}", tail(&all))),
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What stays behind is small, and in the target folder.
        let _ = std::fs::remove_dir_all(self.migrations.folder());
    }
}

/// Beside the test's binary: in the target folder.
fn scratch(tests: &Path) -> PathBuf {
    let target = tests.ancestors().nth(3).unwrap_or(tests);
    target.join("mutants")
}

/// Builds the tests of a source, and says where they are.
fn build(source: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "test",
            "-p",
            "vulkan-tests",
            "--test",
            "it",
            "--no-run",
            "--message-format=json",
        ])
        .current_dir(source)
        // The same one for all, so that dependencies are compiled once.
        .env("CARGO_TARGET_DIR", target())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let messages = String::from_utf8_lossy(&built.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message["target"]["name"] == "it" && message["target"]["kind"][0] == "test"
        })
        .filter(|message| {
            message["manifest_path"]
                .as_str()
                .is_some_and(|path| path.ends_with("tests/Cargo.toml"))
        })
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .filter(|_| built.status.success())
        .ok_or_else(|| {
            format!(
                "the tests do not compile:\n{}",
                tail(&String::from_utf8_lossy(&built.stderr))
            )
        })
}

/// Where this program itself was built.
fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors().nth(2).unwrap_or(root()).to_path_buf()
}

fn read(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is told all the same.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Whether it ended well; `None` if it did not end.
fn wait(child: &mut Child) -> Result<Option<bool>, String> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(Some(status.success()));
        }
        if begun.elapsed() > LIMIT {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
