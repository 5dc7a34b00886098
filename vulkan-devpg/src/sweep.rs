//! Removes what a power cut has left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::directory::{LOG, PREFIX, bases};

/// Removes every cluster directory whose log nobody holds a lock on.
///
/// Owner, watchdog and server all hold it, and the kernel takes it from the dead,
/// so an unlocked log is proof that none of them lives. A directory that is
/// being made has no log of that name yet. Failures are left for the next sweep.
pub(crate) fn sweep() {
    sweep_in(bases());
}

fn sweep_in(bases: impl IntoIterator<Item = PathBuf>) {
    for base in bases {
        let entries = fs::read_dir(base).into_iter().flatten().flatten();
        for entry in entries {
            let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_stale(&entry.path());
            }
        }
    }
}

fn remove_stale(directory: &Path) {
    let log = directory.join(LOG);
    // Anyone may put anything here, and opening a pipe would wait for a writer.
    if !log.symlink_metadata().is_ok_and(|log| log.is_file()) {
        return;
    }
    if File::open(log).is_ok_and(|log| log.try_lock().is_ok()) {
        let _ = fs::remove_dir_all(directory);
    }
}

#[cfg(test)]
mod tests {
    use super::{File, LOG, PREFIX, fs, sweep_in};

    #[test]
    fn only_directories_that_nobody_holds_go() {
        let base = tempfile::tempdir().unwrap();
        let directory = |name: &str| {
            let directory = base.path().join(name);
            fs::create_dir_all(directory.join("data")).unwrap();
            directory
        };
        let stale = directory(&format!("{PREFIX}stale"));
        File::create(stale.join(LOG)).unwrap();
        let held = directory(&format!("{PREFIX}held"));
        let log = File::create(held.join(LOG)).unwrap();
        log.lock().unwrap();
        let begun = directory(&format!("{PREFIX}begun"));
        let foreign = directory("foreign");
        File::create(foreign.join(LOG)).unwrap();

        sweep_in([base.path().to_owned()]);

        assert!(!stale.exists());
        for kept in [held, begun, foreign] {
            assert!(kept.exists(), "{} was removed", kept.display());
        }
    }
}
