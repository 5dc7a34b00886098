//! Finds PostgreSQL's programs on this machine.

use std::ffi::OsString;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::version::Version;

/// The programs a private cluster needs.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// Where packages put each version: `*` is the part that differs.
const PACKAGED: [&str; 4] = [
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/pgsql-*/bin",
];

/// Where to look. A value, so that a test can look elsewhere.
#[derive(Debug)]
pub(crate) struct Search {
    /// The `PATH`.
    pub(crate) path: OsString,
    /// The `pg_config` program to ask.
    pub(crate) pg_config: OsString,
    /// Directories with one `*` each.
    pub(crate) packaged: Vec<String>,
}

/// Nothing usable was found. Displays as what was, and where it was looked for.
#[derive(Debug)]
pub(crate) struct NothingFound {
    places: String,
    /// Directories with programs we cannot use, each with the reason.
    unusable: Vec<(PathBuf, String)>,
}

impl Search {
    /// Everywhere PostgreSQL is known to be put.
    pub(crate) fn everywhere() -> Self {
        Self {
            path: std::env::var_os("PATH").unwrap_or_default(),
            pg_config: "pg_config".into(),
            packaged: PACKAGED.map(String::from).to_vec(),
        }
    }

    /// The directory of the first installation that is new enough.
    pub(crate) fn run(&self) -> Result<PathBuf, NothingFound> {
        let mut unusable = Vec::new();
        for dir in self.candidates() {
            match judge(&dir) {
                Verdict::Usable(dir) => return Ok(dir),
                Verdict::Unusable(reason) => {
                    if !unusable.iter().any(|(known, _)| *known == dir) {
                        unusable.push((dir, reason));
                    }
                }
                Verdict::Absent => {}
            }
        }
        let packaged = self.packaged.join(", ");
        let places = format!("PATH, `pg_config --bindir`, {packaged}");
        Err(NothingFound { places, unusable })
    }

    fn candidates(&self) -> impl Iterator<Item = PathBuf> {
        let path = std::env::split_paths(&self.path);
        let packaged = self.packaged.iter().flat_map(|pattern| expand(pattern));
        path.chain(self.ask_pg_config()).chain(packaged)
    }

    fn ask_pg_config(&self) -> Option<PathBuf> {
        let output = Command::new(&self.pg_config).arg("--bindir").output();
        let output = output.ok().filter(|output| output.status.success())?;
        let dir = str::from_utf8(&output.stdout).ok()?.trim();
        Some(PathBuf::from(dir))
    }
}

enum Verdict {
    Usable(PathBuf),
    Unusable(String),
    Absent,
}

fn judge(dir: &Path) -> Verdict {
    let postgres = dir.join("postgres");
    let Ok(real) = postgres.canonicalize() else {
        return Verdict::Absent;
    };
    // Packages link the programs into PATH; where they really are, they are complete.
    let real = real.parent().unwrap_or(dir);
    let whole = |dir: &&Path| PROGRAMS.iter().all(|program| dir.join(program).is_file());
    let Some(complete) = [real, dir].into_iter().find(whole) else {
        return Verdict::Unusable("an incomplete one".to_owned());
    };
    match Version::of(&postgres) {
        Ok(version) if version.is_enough() => Verdict::Usable(complete.to_owned()),
        Ok(version) => Verdict::Unusable(version.to_string()),
        Err(fault) => Verdict::Unusable(fault),
    }
}

/// The directories that match a pattern with one `*`, the newest version first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or((".", before));
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut matches: Vec<(Version, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            let dir = format!("{}{after}", entry.path().display());
            Some((version, PathBuf::from(dir)))
        })
        .collect();
    matches.sort_by(|a, b| b.cmp(a));
    matches.into_iter().map(|(_, dir)| dir).collect()
}

impl fmt::Display for NothingFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { places, unusable } = self;
        if unusable.is_empty() {
            return write!(f, "none found in {places}");
        }
        let mut found = String::new();
        for (dir, what) in unusable {
            let comma = if found.is_empty() { "" } else { ", " };
            write!(found, "{comma}{what} in {}", dir.display())?;
        }
        write!(f, "found {found}, need 14 or newer (looked in {places})")
    }
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
