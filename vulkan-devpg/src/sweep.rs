//! Removes what a power cut has left.

use std::fs::{self, File};
use std::path::Path;

use crate::directory::{LOG, PREFIX, bases};

/// Removes every cluster directory whose log nobody holds a lock on.
///
/// Owner, watchdog and server all hold it, and the kernel takes it from the dead,
/// so an unlocked log is proof that none of them lives. A directory that is
/// being made has no log of that name yet. Failures are left for the next sweep.
pub(crate) fn sweep() {
    for base in bases() {
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
