//! Where the ledgers of a run lie.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Result;

/// A directory that goes with the run. However that ends, what is in it is kept, if asked for: a run that breaks off is the
/// one to be looked at.
pub(super) struct Directory {
    directory: TempDir,
    keep: Option<PathBuf>,
    /// The server's, which has a log.
    pub(super) server: Option<PathBuf>,
}

impl Directory {
    pub(super) fn new(keep: Option<&Path>, name: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("vulkan-faults-")
            .tempdir()?;
        Ok(Self {
            directory,
            keep: keep.map(|keep| keep.join(name)),
            server: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn copy(&self, kept: &Path) -> io::Result<()> {
        let _ = std::fs::remove_dir_all(kept);
        std::fs::create_dir_all(kept)?;
        if let Some(server) = &self.server {
            let _ = std::fs::copy(server.join("server.log"), kept.join("server.log"));
        }
        for file in std::fs::read_dir(self.path())? {
            let file = file?;
            std::fs::copy(file.path(), kept.join(file.file_name()))?;
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(kept) = &self.keep
            && let Err(error) = self.copy(kept)
        {
            eprintln!(
                "vulkan-faults: nothing is kept in {}: {error}",
                kept.display()
            );
        }
    }
}
