use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::{Entry, Line};
use crate::Result;
use crate::clock::{ahead, mono_us};

/// What a process writes its ledger with.
#[derive(Debug)]
pub(crate) struct Pen {
    file: File,
    pid: u32,
}

impl Pen {
    /// Opens the ledger of this process in a directory.
    pub(crate) fn open(directory: &Path, role: &str) -> Result<Self> {
        let pid = std::process::id();
        let path = directory.join(format!("{role}-{pid}.jsonl"));
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let pen = Self { file, pid };
        pen.note(Entry::Up {
            role: role.into(),
            ahead: ahead(),
        });
        Ok(pen)
    }

    /// Appends one line. Without a ledger there is no oracle: a process that cannot write ends.
    pub(crate) fn note(&self, entry: Entry) {
        let line = Line {
            at: mono_us(),
            pid: self.pid,
            entry,
        };
        let written = serde_json::to_vec(&line)
            .map_err(std::io::Error::from)
            .and_then(|mut text| {
                text.push(b'\n');
                // One write for the whole line: the kernel appends it as a whole.
                (&self.file).write_all(&text)
            });
        if let Err(error) = written {
            eprintln!("vulkan-faults: the ledger cannot be written: {error}");
            std::process::abort();
        }
    }
}
