//! Copies of the source, for mutants to be put into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::entry::{Mutant, mutated, root};

/// A copy of the repository's files. They are written only where they differ, so that what did not change is not compiled anew.
pub(crate) struct Copy {
    folder: PathBuf,
    files: Vec<String>,
}

impl Copy {
    /// Of all files that git knows, or of those below a folder.
    pub(crate) fn new(folder: PathBuf, below: &str) -> Result<Self, String> {
        let listed = Command::new("git")
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "--",
                below,
            ])
            .current_dir(root())
            .output()
            .map_err(|error| format!("git: {error}"))?;
        let files = String::from_utf8_lossy(&listed.stdout);
        let files: Vec<String> = files.lines().map(String::from).collect();
        if files.is_empty() {
            return Err(format!("git knows no files below {below}"));
        }
        Ok(Self { folder, files })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// As the source is, with these bugs in it.
    pub(crate) fn apply(&self, mutants: &[Mutant]) -> Result<(), String> {
        let mutated = mutated(mutants)?;
        for file in &self.files {
            if mutated.iter().all(|(other, _)| other != file) {
                self.copy(file)?;
            }
        }
        for (file, text) in mutated {
            write(&self.folder.join(file), text.as_bytes())?;
        }
        Ok(())
    }

    fn copy(&self, file: &str) -> Result<(), String> {
        match fs::read(root().join(file)) {
            Ok(content) => write(&self.folder.join(file), &content),
            // Deleted, and git has not been told yet.
            Err(_) => Ok(()),
        }
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, content))
        .map_err(|error| format!("{}: {error}", path.display()))
}
