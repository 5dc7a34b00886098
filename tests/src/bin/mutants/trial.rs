//! The tests, run on the source with a bug in it.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::apply::Copy;
use super::build::{Seeded, build, scratch, target};
use super::entry::{AWAKE, Mutant, root};
use super::tail;

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
    /// By the first test that failed, and the end of what it said.
    Caught {
        by: String,
        said: String,
    },
    Survived,
}

/// Where mutants are tried.
pub(crate) struct Trial {
    /// The tests of the source as it is.
    sound: PathBuf,
    migrations: Copy,
    /// Made when the first mutant comes that a compiler is needed for.
    seeded: Option<Seeded>,
    /// What has been run with nothing to catch, and has passed.
    passed: HashSet<(PathBuf, Vec<&'static str>)>,
}

impl Trial {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            sound: build(root(), &target())?,
            // Several may run at once, each with mutants of its own.
            migrations: Copy::new(
                scratch().join(format!("sql-{}", std::process::id())),
                "migrations",
            )?,
            seeded: None,
            passed: HashSet::new(),
        })
    }

    /// Tests that are gone, or have another name by now, would notice nothing.
    pub(crate) fn check(&self, mutants: &[&Mutant]) -> Result<(), String> {
        let listed = Command::new(&self.sound)
            .args(["--list", "--format=terse"])
            .output()
            .map_err(|error| format!("{}: {error}", self.sound.display()))?;
        let listed = String::from_utf8_lossy(&listed.stdout);
        for mutant in mutants {
            for test in mutant.tests {
                if !listed.contains(test) {
                    return Err(format!(
                        "there is no test {test}, which ought to catch \"{}\"",
                        mutant.name
                    ));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn run(&mut self, mutant: &'static Mutant) -> Result<Verdict, String> {
        let tests = match &self.seeded {
            _ if mutant.is_sql() => self.sound.clone(),
            Some(seeded) => seeded.tests.clone(),
            None => {
                let seeded = Seeded::new(super::runtime::MUTANTS)?;
                self.seeded.insert(seeded).tests.clone()
            }
        };
        let (slow, quick): (Vec<&str>, Vec<&str>) = mutant
            .tests
            .iter()
            .partition(|test| SLOW.iter().any(|slow| test.starts_with(slow)));
        let quick = Some(quick).filter(|quick| !quick.is_empty());
        for aimed in quick
            .into_iter()
            .chain(slow.into_iter().map(|test| vec![test]))
        {
            self.pass(&tests, &aimed)?;
            let verdict = self.run_tests(&tests, &aimed, Some(mutant))?;
            if matches!(verdict, Verdict::Caught { .. }) {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Survived)
    }

    /// Makes sure that these tests pass where nothing is wrong: else they would catch nothing.
    fn pass(&mut self, tests: &Path, aimed: &[&'static str]) -> Result<(), String> {
        let lot = (tests.to_path_buf(), aimed.to_vec());
        if self.passed.contains(&lot) {
            return Ok(());
        }
        if let Verdict::Caught { by, said } = self.run_tests(tests, aimed, None)? {
            return Err(format!("{by} fails without any bug:\n{said}"));
        }
        self.passed.insert(lot);
        Ok(())
    }

    fn run_tests(
        &self,
        tests: &Path,
        aimed: &[&str],
        bug: Option<&'static Mutant>,
    ) -> Result<Verdict, String> {
        let in_sql = bug.filter(|bug| bug.is_sql());
        self.migrations
            .apply(in_sql.map_or(&[], std::slice::from_ref))?;
        let mut child = Command::new(tests)
            .args(aimed)
            .env(
                "VULKAN_TESTING_MIGRATIONS",
                self.migrations.folder().join("migrations"),
            )
            .env("RUST_BACKTRACE", "0")
            .env(AWAKE, bug.map_or("", |bug| bug.name))
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
            (_, Some(test)) => Ok(Verdict::Caught {
                by: test.to_owned(),
                said: tail(&all),
            }),
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
