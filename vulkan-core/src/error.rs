use std::fmt;

use sqlx::migrate::MigrateError;
use vulkan_names::NameError;

/// What can go wrong between this client and the database.
///
/// Refusals of the engine are told apart by their SQLSTATE, never by their text, which may change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no stream of that name (`VK001`).
    #[error("{0}")]
    UnknownStream(Refusal),
    /// There is no consumer group of that name, or not one of that mode (`VK002`).
    #[error("{0}")]
    UnknownGroup(Refusal),
    /// An argument is not valid (`VK003`).
    #[error("{0}")]
    Invalid(Refusal),
    /// The log cannot be read safely in this transaction or on this server (`VK004`).
    #[error("{0}")]
    Unsafe(Refusal),
    /// The event is no message of the group (`VK005`).
    #[error("{0}")]
    NoMessage(Refusal),
    /// Another reader has taken the cursor over (`VK006`).
    #[error("{0}")]
    Superseded(Refusal),
    /// The lease of the message is lost (`VK007`): somebody else holds it, or has it done.
    #[error("{0}")]
    Stale(Refusal),
    /// A name of a stream, a group or a kind is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A payload cannot be written as JSON.
    #[error("the payload of a {kind:?} event cannot be written as JSON")]
    Encode {
        /// The kind of the event.
        kind: String,
        /// What the serializer said.
        source: serde_json::Error,
    },
    /// A batch holds events of more than one stream.
    #[error(
        "a batch goes to one stream, but this one holds events of {first:?} and {other:?}; publish one batch a stream"
    )]
    MixedStreams {
        /// The stream of the batch's first event.
        first: String,
        /// The stream of an event that differs.
        other: String,
    },
    /// The database has no Vulkan schema.
    #[error(
        "the database has no schema \"vulkan\"; call Client::migrate once, or apply the files in migrations/"
    )]
    NoSchema,
    /// The database's schema is older than this client.
    #[error(
        "the schema \"vulkan\" has version {found}, this client needs {needed}; call Client::migrate"
    )]
    SchemaTooOld {
        /// The version that was found.
        found: i32,
        /// The version this client needs.
        needed: i32,
    },
    /// The database's schema is newer than this client, and says that it is too new for it.
    #[error(
        "the schema \"vulkan\" has version {found} and works with clients of version {compatible} or newer, \
         this one is of version {ours}; deploy a newer release"
    )]
    SchemaTooNew {
        /// The version that was found.
        found: i32,
        /// The oldest client version that may still work with it.
        compatible: i32,
        /// The version of this client.
        ours: i32,
    },
    /// A migration failed. Nothing of that migration was kept; those before it were.
    #[error("the schema \"vulkan\" could not be migrated")]
    Migrate(#[source] MigrateError),
    /// The database could not be reached, or said no.
    #[error("the database call failed")]
    Database(#[source] sqlx::Error),
}

/// A refusal of the engine: what it said, and what it says to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused, and why.
    pub message: String,
    /// The next step, where there is one.
    pub hint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// Whether the same call may well succeed a little later: the connection was lost, the server is
    /// starting or stopping, out of connections, or chose this call to end a deadlock.
    pub fn is_transient(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        match error {
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                // Connection exceptions, insufficient resources, operator intervention, and
                // serialization failures and deadlocks, each a class of SQLSTATEs.
                ["08", "53", "57", "40"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }),
            sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let refused = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
        let Some(refused) = refused else {
            return Self::Database(error);
        };
        let refusal = || Refusal {
            message: refused.message().to_owned(),
            hint: refused.hint().map(str::to_owned),
        };
        match refused.code() {
            "VK001" => Self::UnknownStream(refusal()),
            "VK002" => Self::UnknownGroup(refusal()),
            "VK003" => Self::Invalid(refusal()),
            "VK004" => Self::Unsafe(refusal()),
            "VK005" => Self::NoMessage(refusal()),
            "VK006" => Self::Superseded(refusal()),
            "VK007" => Self::Stale(refusal()),
            _ => Self::Database(error),
        }
    }
}
