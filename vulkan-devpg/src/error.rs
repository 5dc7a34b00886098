//! What can go wrong.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no Postgres, or no database on it.
///
/// No message ever holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `DATABASE_URL` is not set, the machine has no usable PostgreSQL, and none
    /// could be fetched.
    #[error(
        "no PostgreSQL 14 or newer: {search}; {fetch}; install one \
         (Debian, Ubuntu: `apt install postgresql`, Fedora: `dnf install postgresql-server`, \
         macOS: `brew install postgresql@18`) or set DATABASE_URL to a server"
    )]
    NotFound {
        /// Where it was looked for, and what was found there.
        search: String,
        /// Why none was fetched.
        fetch: String,
    },

    /// We are root, and there is no other user to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as; \
         add one (`useradd --system postgres`) or set DATABASE_URL to a server"
    )]
    NoAccount,

    /// No directory can hold the cluster.
    #[error("no directory for a private cluster ({tried}); set TMPDIR to a short path{reach}")]
    NoDirectory {
        /// The directories tried, each with its fault.
        tried: String,
        /// What else the directory has to be.
        reach: &'static str,
    },

    /// A setting is not a plain name with a value of one line.
    #[error(
        "setting `{name}` is not valid: a name is letters, digits, `_` and `.`, a value is one line"
    )]
    Setting {
        /// The setting's name.
        name: String,
    },

    /// A file or a process of the private cluster could not be handled.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },

    /// PostgreSQL itself failed at a step of the private cluster's life.
    #[error("the private cluster in {directory} did not {step}, its log ends:\n{log}", directory = directory.display())]
    Server {
        /// The step, as a verb.
        step: &'static str,
        /// The cluster's directory.
        directory: PathBuf,
        /// The end of the server's log.
        log: String,
    },

    /// Something took longer than it ever should.
    #[error("waited {waited:?} for the private cluster to {step}")]
    Timeout {
        /// What was waited for, as a verb.
        step: &'static str,
        /// For how long.
        waited: Duration,
    },

    /// `DATABASE_URL` cannot be understood.
    #[error("DATABASE_URL is not a Postgres URL such as postgres://user:password@host/database")]
    DatabaseUrl(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// The server does not take our connection.
    #[error("no connection to {server}")]
    Connect {
        /// The server, without a password.
        server: String,
        /// Why it failed.
        source: sqlx::Error,
    },

    /// The server refused to create or drop a database.
    #[error("cannot {action} database {name}")]
    Database {
        /// What was tried, as a verb.
        action: &'static str,
        /// The database's name.
        name: String,
        /// Why it failed.
        source: sqlx::Error,
    },

    /// A private cluster can be crashed and restarted; the server that
    /// `DATABASE_URL` names cannot.
    #[error(
        "the server of DATABASE_URL is not ours to {action}; use a private cluster (`Postgres::start_private`)"
    )]
    NotPrivate {
        /// What was asked for, as a verb.
        action: &'static str,
    },
}
