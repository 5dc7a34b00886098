//! The tests of a source, built.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apply::Copy;
use super::entry::{Mutant, root};
use super::tail;

/// The tests, with all the bugs of a list compiled into the programs, asleep.
pub(crate) struct Seeded {
    pub(crate) tests: PathBuf,
    /// There is one copy of the source, kept so that the next run compiles little, and one run at a time that uses it.
    _lock: File,
}

impl Seeded {
    pub(crate) fn new(mutants: &[Mutant]) -> Result<Self, String> {
        let path = scratch().join("lock");
        let lock = fs::create_dir_all(scratch())
            .and_then(|()| File::create(&path))
            .and_then(|lock| lock.lock().map(|()| lock))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let copy = Copy::new(scratch().join("source"), ".")?;
        copy.apply(mutants)?;
        Ok(Self {
            // The processes that tests start are found by where they were built: those with bugs must not take the place of those without.
            tests: build(copy.folder(), &scratch().join("programs"))?,
            _lock: lock,
        })
    }
}

/// Builds the tests of a source, and says where they are. Its programs go into a folder of its own; what is compiled on the way is shared, so
/// that dependencies are compiled once.
pub(crate) fn build(source: &Path, programs: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What `cargo run` says of this package to this program: a dependency's build script that looks at it would be run anew,
    // and nearly everything compiled anew after it.
    for (name, _) in std::env::vars_os() {
        let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if about_us
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    let built = command
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
        .env("CARGO_BUILD_BUILD_DIR", target())
        .env("CARGO_TARGET_DIR", programs)
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

/// Where copies of the source are kept: in the target folder, which git does not know.
pub(crate) fn scratch() -> PathBuf {
    target().join("mutants")
}

/// Where this program itself was built.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors().nth(2).unwrap_or(root()).to_path_buf()
}
