//! The directory of a private cluster.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Error;
use crate::account::Account;
use crate::settings;

/// What our directories' names start with.
pub(crate) const PREFIX: &str = "vulkan-pg-";

/// The server's log. Whoever uses a cluster holds a lock on it.
pub(crate) const LOG: &str = "server.log";

/// Longest path of a Unix socket: 108 bytes on Linux, 104 on macOS, with an end mark.
const SOCKET_LIMIT: usize = 103;

/// A directory with all that a watchdog needs to create its cluster.
///
/// Removed on drop until a watchdog takes it over.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: TempDir,
    pub(crate) log: File,
    pub(crate) account: Option<Account>,
}

impl Directory {
    /// Makes the directory and writes the server's configuration into it.
    pub(crate) fn prepare(settings: &[(String, String)]) -> Result<Self, Error> {
        let path = create()?;
        let io = |action| {
            let path = path.path().to_owned();
            move |source| Error::Io {
                action,
                path,
                source,
            }
        };
        let owner = path.path().metadata().map_err(io("read"))?.uid();
        let account = Account::for_server(owner)?;
        let configuration = settings::file(path.path(), settings)?;
        fs::write(path.path().join("cluster.conf"), configuration).map_err(io("write in"))?;
        let log = locked_log(path.path()).map_err(io("write the log in"))?;
        if let Some(account) = account {
            chown(path.path(), Some(account.uid), Some(account.gid)).map_err(io("give away"))?;
        }
        Ok(Self { path, log, account })
    }
}

/// The directories that may hold a cluster, best first.
///
/// /tmp is memory on many systems, where fsync proves nothing and a large
/// database takes memory, so /var/tmp comes before it.
pub(crate) fn bases() -> Vec<PathBuf> {
    let asked = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    let asked = asked.and_then(|dir| std::path::absolute(dir).ok());
    let usual = ["/var/tmp", "/tmp"].map(PathBuf::from);
    asked.into_iter().chain(usual).collect()
}

fn create() -> Result<TempDir, Error> {
    let mut tried = Vec::new();
    let mut root = false;
    for base in bases() {
        let attempt = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&base);
        let fault = match attempt {
            Err(error) => error.to_string(),
            Ok(directory) => {
                root = directory.path().metadata().is_ok_and(|own| own.uid() == 0);
                match fault(directory.path(), root) {
                    None => return Ok(directory),
                    Some(fault) => fault.to_owned(),
                }
            }
        };
        tried.push(format!("{}: {fault}", base.display()));
    }
    Err(Error::NoDirectory {
        tried: tried.join(", "),
        reach: if root {
            " that every user can write to"
        } else {
            ""
        },
    })
}

/// Why the server could not use `directory`.
fn fault(directory: &Path, root: bool) -> Option<&'static str> {
    let Some(name) = directory.to_str() else {
        return Some("the path is not UTF-8");
    };
    if name.len() + "/.s.PGSQL.5432".len() > SOCKET_LIMIT {
        return Some("the path is too long for a Unix socket");
    }
    // The server of a root process is another user, who has to get here, and
    // whose watchdog removes the directory from the one above.
    let allows = |dir: &Path, bits| dir.metadata().is_ok_and(|of| of.mode() & bits == bits);
    let above = directory.parent().unwrap_or(directory);
    if root && !(above.ancestors().all(|dir| allows(dir, 0o001)) && allows(above, 0o002)) {
        return Some("other users cannot write to it");
    }
    None
}

/// Opens the log, locked before it has its final name.
///
/// So a log that exists and is not locked belongs to nobody any more.
fn locked_log(directory: &Path) -> std::io::Result<File> {
    let unnamed = directory.join("server.log.new");
    let log = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(&unnamed)?;
    log.lock()?;
    fs::rename(unnamed, directory.join(LOG))?;
    Ok(log)
}
