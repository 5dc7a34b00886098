use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use vulkan_names::NameError;

use crate::schedule::ScheduleError;

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
    /// An argument is not valid (`VK003`), or holds what Postgres cannot store.
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
    /// There is no recurring event of that name (`VK008`).
    #[error("{0}")]
    UnknownSchedule(Refusal),
    /// A recurring event is not well defined.
    #[error(transparent)]
    Schedule(ScheduleError),
    /// No worker of that name, or of that version, is alive (`VK009`).
    #[error("{0}")]
    UnknownWorker(Refusal),
    /// The position lies beyond the newest event that there ever was (`VK010`): whoever remembers it read a log that
    /// is gone, before a standby that lagged took over, or a backup was restored.
    #[error("{0}")]
    BeyondLog(Refusal),
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
    /// An event with a dedup id was to be loaded by COPY, which cannot leave any out.
    #[error(
        "a load takes no dedup ids, but this {kind:?} event has one; publish it with Client::publish_many, or without the id"
    )]
    DedupInLoad {
        /// The kind of the event.
        kind: String,
    },
    /// The load has failed before, with another error. Nothing of it was appended.
    #[error("the load has failed before, and nothing of it was appended; begin another")]
    LoadEnded,
    /// The database has no Vulkan schema.
    #[error(
        "the database has no schema \"vulkan\"; call Client::migrate once, or apply the files in migrations/"
    )]
    NoSchema,
    /// The batch failed that a [`Publisher`](crate::Publisher) published the event with. The event may have
    /// been published all the same, as after [`Error::Database`].
    #[error(transparent)]
    Batch(Arc<Self>),
    /// The publisher was closed before it took the event.
    #[error("the publisher is closed; keep it open until the last event is published")]
    PublisherClosed,
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
    #[error("{}", told(.0))]
    Database(#[source] sqlx::Error),
}

/// A refusal of the engine: what it said, and what it says to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
    /// starting or stopping, a standby, out of connections, chose this call to end a deadlock, or would have let
    /// it wait too long for a lock.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error)
            | Self::Migrate(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => is_transient(error),
            Self::Batch(error) => error.is_transient(),
            _ => false,
        }
    }

    /// An argument that was refused before it came to the database.
    pub(crate) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid(Refusal {
            message: message.into(),
            hint: Some(hint.into()),
        })
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match &*code {
            // The lock's holder will be done with it.
            "55P03" => true,
            // A standby, until the address leads to the primary again, or it has become that.
            "25006" => true,
            // The database was dropped.
            "57P04" => false,
            // Connection exceptions, insufficient resources, operator intervention, and
            // serialization failures and deadlocks, each a class of SQLSTATEs.
            code => ["08", "53", "57", "40"]
                .iter()
                .any(|class| code.starts_with(class)),
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// What a failure of the database means for the caller; its own words are the source's.
fn told(error: &sqlx::Error) -> Cow<'static, str> {
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("the database refused the call with SQLSTATE {code}").into(),
            None => "the database refused the call".into(),
        },
        sqlx::Error::Configuration(_) => {
            "the database URL cannot be read; it looks like postgres://user@host:5432/database"
                .into()
        }
        sqlx::Error::PoolTimedOut => {
            "no database connection could be had in time; look whether the server is up, and whether \
             the pool is large enough"
                .into()
        }
        sqlx::Error::PoolClosed => "the pool is closed; make a new client".into(),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => "the connection to the database failed".into(),
        _ => "the database call failed".into(),
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let refused = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
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
            "VK008" => Self::UnknownSchedule(refusal()),
            "VK009" => Self::UnknownWorker(refusal()),
            "VK010" => Self::BeyondLog(refusal()),
            _ => match unstorable(refused) {
                Some(hint) => Self::invalid(explained(refused), hint),
                None => Self::Database(error),
            },
        }
    }
}

/// The next step where a value is none that Postgres can store, by SQLSTATE.
fn unstorable(error: &PgDatabaseError) -> Option<&'static str> {
    Some(match error.code() {
        // untranslatable_character, character_not_in_repertoire
        "22P05" | "22021" => {
            "Leave out NUL characters and what the database's encoding lacks, or publish such text as base64."
        }
        // invalid_text_representation, invalid_json_text
        "22P02" | "22032" => {
            "Publish JSON whose texts are valid Unicode, lone surrogates left out."
        }
        // numeric_value_out_of_range, datetime_field_overflow, interval_field_overflow
        "22003" | "22008" | "22015" => "Give a number or a time within the range of Postgres.",
        // statement_too_complex
        "54001" => "Publish JSON that is nested less deeply.",
        // check_violation
        "23514" if error.table() == Some("groups") => {
            "Give at least one attempt, a backoff above zero with its maximum not below it, and a lease above zero."
        }
        _ => return None,
    })
}

/// What Postgres said, with its detail: where a JSON text is bad, for one.
fn explained(error: &PgDatabaseError) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {}", error.message(), detail),
        None => error.message().to_owned(),
    }
}
