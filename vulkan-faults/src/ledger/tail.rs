use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Line;
use crate::Result;

/// Reads the ledgers of a directory as they grow.
#[derive(Debug)]
pub(crate) struct Tail {
    directory: PathBuf,
    read: HashMap<PathBuf, u64>,
}

impl Tail {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.into(),
            read: HashMap::new(),
        }
    }

    /// The lines that have come since the last time. A half line, of a process that was killed while it wrote,
    /// is left out: what it would have said is not known to have happened.
    pub(crate) fn more(&mut self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path
                .extension()
                .is_none_or(|extension| extension != "jsonl")
            {
                continue;
            }
            let read = self.read.entry(path.clone()).or_default();
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(*read))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let whole = text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            for line in text[..whole].split(|byte| *byte == b'\n') {
                if !line.is_empty() {
                    lines.push(serde_json::from_slice(line)?);
                }
            }
            *read += u64::try_from(whole)?;
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::ledger::{Entry, Pen};

    #[test]
    fn a_half_line_is_left_out_until_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let pen = Pen::open(directory.path(), "test").unwrap();
        pen.note(Entry::Ok { id: 7, offset: 9 });
        let path = fs::read_dir(&directory)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(br#"{"at":1,"pid":1,"e":"do"#).unwrap();
        let mut tail = Tail::new(directory.path());
        let lines = tail.more().unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].entry, Entry::Ok { id: 7, offset: 9 });
        file.write_all(b"wn\"}\n").unwrap();
        assert_eq!(tail.more().unwrap()[0].entry, Entry::Down);
        assert!(tail.more().unwrap().is_empty());
    }
}
