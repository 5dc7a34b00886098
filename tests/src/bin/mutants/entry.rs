//! One seeded bug.

use std::fs;
use std::path::Path;

/// One place of the source, and what stands there instead.
pub(crate) struct Mutant {
    /// What is wrong with it.
    pub(crate) name: &'static str,
    /// The file, seen from the root of the repository.
    pub(crate) file: &'static str,
    /// Stands in it exactly once.
    pub(crate) search: &'static str,
    pub(crate) replace: &'static str,
    /// The quickest tests that ought to notice, by parts of their names.
    pub(crate) tests: &'static [&'static str],
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

impl Mutant {
    /// Whether no compiler is needed for it.
    pub(crate) fn is_sql(&self) -> bool {
        self.file.starts_with("migrations/")
    }

    /// The file with the bug in it.
    pub(crate) fn mutated(&self) -> Result<String, String> {
        let path = root().join(self.file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", self.file))?;
        match text.matches(self.search).count() {
            1 => Ok(text.replacen(self.search, self.replace, 1)),
            found => Err(format!(
                "the mutant \"{}\" does not apply any more: its place is {found} times in {}:\n{}",
                self.name, self.file, self.search
            )),
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.tests.is_empty() || self.search == self.replace {
            return Err(format!("the mutant \"{}\" cannot be caught", self.name));
        }
        self.mutated().map(drop)
    }
}
