//! What really happened, written down outside of Postgres: the scoreboard is checked against it.
//!
//! Every process appends to a file of its own, one line with one `write`. The line is in the hands of the kernel before
//! anything follows from it, so that `kill -9` takes back none; what it cuts off is half a line, which counts as none.

mod workers;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use workers::{WORKER, Workers, Written};

use crate::Result;

/// The file name of the producer's ledger.
pub(crate) const PRODUCER: &str = "producer";

/// A publish that the producer has the database's word for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Acked {
    pub(crate) order: i64,
    pub(crate) offset: i64,
}

/// A run of a handler that came to the end of its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Handled {
    pub(crate) group: String,
    pub(crate) offset: i64,
    pub(crate) attempt: i32,
    /// By [`now`]: when the handler began.
    pub(crate) began: u64,
    /// By [`now`]: when it wrote this.
    pub(crate) ended: u64,
}

/// The time in microseconds since 1970, which all processes have in common.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0))
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Ledger(File);

impl Ledger {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self(file))
    }

    /// Writes a line for each entry, all with one call.
    pub(crate) fn write<'e, T: Serialize + 'e>(
        &self,
        entries: impl IntoIterator<Item = &'e T>,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        (&self.0).write_all(&lines)
    }
}

/// The reading end, which remembers how far it came.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    read: u64,
    /// The number of the last line read, from 1.
    pub(crate) lines: i64,
}

impl Tail {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: 0,
            lines: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The entries that have been written since the last call, each with the number of its line.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Vec<(i64, T)>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut entries = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.last() != Some(&b'\n') {
                break;
            }
            self.read += line.len() as u64;
            self.lines += 1;
            entries.push((self.lines, serde_json::from_slice(line)?));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{Acked, Ledger, Tail};

    #[test]
    fn what_is_written_is_read_once_and_half_a_line_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("producer");
        let mut tail = Tail::new(path.clone());
        assert!(tail.next::<Acked>().unwrap().is_empty(), "there is no file");

        let entry = |order| Acked {
            order,
            offset: order + 100,
        };
        let ledger = Ledger::open(&path).unwrap();
        ledger.write(&[entry(1), entry(2)]).unwrap();
        (&ledger.0).write_all(b"{\"order\":3,\"off").unwrap();
        assert_eq!(tail.next().unwrap(), [(1, entry(1)), (2, entry(2))]);
        assert!(tail.next::<Acked>().unwrap().is_empty());

        (&ledger.0).write_all(b"set\":103}\n").unwrap();
        let again = Ledger::open(&path).unwrap();
        again.write(&[entry(4)]).unwrap();
        assert_eq!(tail.next().unwrap(), [(3, entry(3)), (4, entry(4))]);
    }
}
