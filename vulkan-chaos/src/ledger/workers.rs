//! The ledgers of all worker processes: each life of a worker has one of its own, so there are ever more.

use std::fs;
use std::path::PathBuf;

use super::{Handled, Tail};
use crate::Result;

/// How the file names of workers begin.
pub(crate) const WORKER: &str = "worker-";

/// What a worker has written since the last look: the name of its ledger, and the entries with their lines.
pub(crate) type Written = (String, Vec<(i64, Handled)>);

#[derive(Debug)]
pub(crate) struct Workers {
    directory: PathBuf,
    tails: Vec<Tail>,
}

impl Workers {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            tails: Vec::new(),
        }
    }

    /// What has been written since the last call, or ever, of all ledgers that there are by now.
    pub(crate) fn next(&mut self) -> Result<Vec<Written>> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ours = name.starts_with(WORKER) && path.extension().is_none();
            if ours && self.tails.iter().all(|tail| tail.path() != path) {
                self.tails.push(Tail::new(path));
            }
        }
        let mut written = Vec::new();
        for tail in &mut self.tails {
            let new = tail.next::<Handled>()?;
            if !new.is_empty() {
                let name = tail.path().file_name().unwrap_or_default();
                written.push((name.to_string_lossy().into_owned(), new));
            }
        }
        Ok(written)
    }

    /// Reads from the beginning, when next asked.
    pub(crate) fn rewind(&mut self) {
        self.tails.clear();
    }
}
