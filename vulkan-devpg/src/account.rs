//! The user that the server runs as.

use std::process::Command;

use crate::Error;

/// The users tried when we are root, best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user and its group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account to run the server under when our own user id is `uid`.
    ///
    /// `None` is our own: only root has to step down, because PostgreSQL refuses
    /// to run as root.
    pub(crate) fn for_server(uid: u32) -> Result<Option<Self>, Error> {
        if uid != 0 {
            return Ok(None);
        }
        let found = CANDIDATES.into_iter().find_map(Self::named);
        found.map(Some).ok_or(Error::NoAccount)
    }

    /// Asks `id`, which knows every source of users, not /etc/passwd alone.
    fn named(user: &str) -> Option<Self> {
        Some(Self {
            uid: id("-u", user)?,
            gid: id("-g", user)?,
        })
    }
}

fn id(flag: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, user]).output().ok()?;
    let id = str::from_utf8(&output.stdout).ok()?.trim().parse().ok()?;
    (id != 0).then_some(id)
}
