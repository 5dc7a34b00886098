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
    /// Further places, where one alone changes nothing: file, search and replacement.
    pub(crate) also: &'static [(&'static str, &'static str, &'static str)],
    /// The quickest tests that ought to notice, by parts of their names.
    pub(crate) tests: &'static [&'static str],
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What tells a program which of the bugs that are compiled into it is awake.
pub(crate) const AWAKE: &str = "VULKAN_SEEDED_BUG";

impl Mutant {
    /// Whether no compiler is needed for it.
    pub(crate) fn is_sql(&self) -> bool {
        self.file.starts_with("migrations/")
    }

    /// Whether it can be put into the source, and something could catch it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.tests.is_empty() || self.search == self.replace {
            return Err(format!("the mutant \"{}\" cannot be caught", self.name));
        }
        if !self.is_sql() && !self.replace.contains("SEEDED") {
            return Err(format!("the mutant \"{}\" never sleeps", self.name));
        }
        mutated(std::slice::from_ref(self)).map(drop)
    }
}

/// The files with these bugs in them.
pub(crate) fn mutated(mutants: &[Mutant]) -> Result<Vec<(&'static str, String)>, String> {
    let mut changed: Vec<(&str, String)> = Vec::new();
    for mutant in mutants {
        let first = (mutant.file, mutant.search, mutant.replace);
        for (file, search, replace) in std::iter::once(first).chain(mutant.also.iter().copied()) {
            let there = changed.iter().position(|(other, _)| *other == file);
            let text = match there {
                Some(nth) => changed.swap_remove(nth).1,
                None => fs::read_to_string(root().join(file))
                    .map_err(|error| format!("{file}: {error}"))?,
            };
            let found = text.matches(search).count();
            if found != 1 {
                return Err(format!(
                    "the mutant \"{}\" does not apply any more: its place is {found} times in {file}:\n{search}",
                    mutant.name
                ));
            }
            let awake = format!(
                "std::env::var({AWAKE:?}).is_ok_and(|bug| bug == {:?})",
                mutant.name
            );
            let replace = replace.replace("SEEDED", &awake);
            changed.push((file, text.replacen(search, &replace, 1)));
        }
    }
    Ok(changed)
}
