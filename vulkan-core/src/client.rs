use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};
use tokio::time::timeout;

use crate::detach::{answered, silent, to_the_end};
use crate::error::Error;
use crate::silence::Silence;
use crate::warm::Warm;

/// How long an idle connection may take to show that it lives.
const PING: Duration = Duration::from_secs(3);
/// What was used so shortly before is not asked: it is as likely to be gone as one that is in use.
const FRESH: Duration = Duration::from_millis(100);

/// A handle on the log and the lifecycle in one database. Cheap to clone.
///
/// It works on a Tokio runtime, and panics on another.
///
/// # Cancel safety
///
/// A call that is dropped before it returns still runs to its end in the background, so nothing is
/// left half done; whether it succeeded is then unknown. Calls that take an executor of yours run on
/// your connection and are the exception: do not drop those.
#[derive(Debug, Clone)]
pub struct Client {
    pool: PgPool,
    pub(crate) warm: Warm,
    #[cfg(feature = "telemetry")]
    pub(crate) traced: crate::telemetry::Traced,
}

impl Client {
    /// Connects to a database with a pool of its own, of up to ten connections.
    ///
    /// The pool connects when it is first used: a server that is away for the moment is no error here.
    ///
    /// The server ends a session of it whose transaction stands idle for a minute, and one that is sent something over
    /// TCP and takes none of it for twenty seconds. For a pool of your own ([`Client::new`]) set both, or have them set
    /// for its role: else what a connection that fell silent holds, a message's lease or the stable end of a stream, is held
    /// until the kernel gives it up.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if the URL cannot be read.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        // sqlx takes any scheme, and what is none of ours for a server on this machine.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let cause = "it begins with neither postgres:// nor postgresql://";
            return Err(Error::Database(sqlx::Error::Configuration(cause.into())));
        }
        let options: PgConnectOptions = url.parse().map_err(Error::Database)?;
        Ok(Self::connect_with(options.application_name("vulkan")))
    }

    fn connect_with(options: PgConnectOptions) -> Self {
        let silence = Silence::default();
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(Duration::from_secs(10))
            // As the pool's own test, which however waits for an answer as long as it takes.
            .test_before_acquire(false)
            .before_acquire(move |connection, of_it| {
                let (silence, now) = (silence.clone(), Instant::now());
                Box::pin(async move {
                    if of_it.idle_for < FRESH {
                        return Ok(true);
                    }
                    if silence.since(now - of_it.idle_for) {
                        return Ok(false);
                    }
                    match timeout(PING, connection.ping()).await {
                        Ok(answer) => answer.map(|()| true),
                        Err(_) => {
                            silence.note(now);
                            Err(silent())
                        }
                    }
                })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query(include_str!("../queries/connected.sql"))
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Self::new(pool)
    }

    /// Uses a pool you have already.
    ///
    /// A worker makes up to two calls at a time for each of its groups, and four for all of them; what
    /// finds no connection free waits its turn. It listens on one more, beside the pool. The engine's calls keep the connection that they
    /// used last out of the pool for a tenth of a second, as long as the pool has others.
    pub fn new(pool: PgPool) -> Self {
        Self {
            #[cfg(feature = "telemetry")]
            traced: crate::telemetry::Traced::new(&pool),
            pool,
            warm: Warm::default(),
        }
    }

    /// The pool underneath, for transactions of your own.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction.
    ///
    /// As `pool().begin()`, but cancel safe, which sqlx 0.9's is not: handlers, which can be dropped
    /// at any await, should begin theirs with this.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Error> {
        let pool = self.pool.clone();
        Ok(to_the_end(async move { pool.begin().await }).await?)
    }

    /// Makes a stream with its partitions, or finds the one of that name; returns its id.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] if the name is not valid.
    pub async fn create_stream(&self, name: &str) -> Result<i32, Error> {
        vulkan_names::check_name(vulkan_names::Subject::Stream, name)?;
        let name = name.to_owned();
        let id = answered(self, |connection| {
            Box::pin(
                sqlx::query_scalar(include_str!("../queries/create_stream.sql"))
                    .bind(name)
                    .fetch_one(connection),
            )
        });
        Ok(id.await?)
    }

    /// The id of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStream`] if there is none of that name.
    pub async fn stream_id(&self, name: &str) -> Result<i32, Error> {
        let name = name.to_owned();
        let id = answered(self, |connection| {
            Box::pin(
                sqlx::query_scalar(include_str!("../queries/stream_id.sql"))
                    .bind(name)
                    .fetch_one(connection),
            )
        });
        Ok(id.await?)
    }
}
