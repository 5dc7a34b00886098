use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::migrate::Migrator;

use crate::client::Client;
use crate::detach::to_the_end;
use crate::error::Error;

/// The schema version this client was written for.
///
/// It rises with each migration that changes what a client sees; `vulkan.meta` holds the database's.
const SCHEMA_VERSION: i32 = 1;

/// Recorded in `vulkan._sqlx_migrations` (see `sqlx.toml`), never in the application's own table.
static MIGRATOR: Migrator = {
    let mut migrator = sqlx::migrate!();
    // A newer release may have migrated further; whether this client may go on is told by vulkan.meta.
    migrator.ignore_missing = true;
    migrator
};

async fn migrate(connection: &mut PgConnection) -> Result<(), Error> {
    // By hand: sqlx would ask for the right to create schemas even where it is there.
    sqlx::raw_sql(include_str!("../queries/make_schema.sql"))
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(include_str!("../queries/act_as_owner.sql"))
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(include_str!("../queries/migrating.sql"))
        .execute(&mut *connection)
        .await?;
    let migrated = MIGRATOR.run_direct(None, connection, false).await;
    migrated.map_err(Error::Migrate)
}

impl Client {
    /// Brings the schema `vulkan` up to date, or leaves it as it is.
    ///
    /// Any number of processes may start at once: one migrates under a lock, the others wait for it.
    /// A database that a newer release has migrated already is left alone, if that release says that
    /// this one may go on. Connect to Postgres itself for this, not through a transaction pooler.
    ///
    /// What it makes belongs to the owner of the schema, if this client's role is a member of it: so
    /// whoever migrates, one role owns everything. The first time it makes the schema, unless that is there.
    ///
    /// # Errors
    ///
    /// [`Error::SchemaTooNew`] if this client is too old for the schema it finds;
    /// [`Error::Migrate`] if a migration fails, or the connection is lost meanwhile: call it again.
    pub async fn migrate(&self) -> Result<(), Error> {
        match self.check_schema().await {
            Ok(()) | Err(Error::NoSchema | Error::SchemaTooOld { .. }) => {}
            Err(error) => return Err(error),
        }
        let pool = self.pool().clone();
        to_the_end(async move {
            // A failed migrator keeps its lock, which goes with the connection: never back to the pool.
            let mut connection = pool.acquire().await?.detach();
            let migrated = migrate(&mut connection).await;
            // The migrations are done, or not; how the goodbye goes is of no interest.
            let _ = connection.close().await;
            migrated
        })
        .await
    }

    /// Checks that this client may work with the schema as it is.
    ///
    /// # Errors
    ///
    /// [`Error::NoSchema`], [`Error::SchemaTooOld`] or [`Error::SchemaTooNew`], each of which says what to do.
    pub async fn check_schema(&self) -> Result<(), Error> {
        let pool = self.pool().clone();
        let found: Option<(i32, i32)> = to_the_end(async move {
            let there: bool = sqlx::query_scalar(include_str!("../queries/has_schema.sql"))
                .fetch_one(&pool)
                .await?;
            if !there {
                return Ok::<_, Error>(None);
            }
            Ok(Some(
                sqlx::query_as(include_str!("../queries/schema_version.sql"))
                    .fetch_one(&pool)
                    .await?,
            ))
        })
        .await?;
        match found {
            None => Err(Error::NoSchema),
            Some((found, _)) if found < SCHEMA_VERSION => Err(Error::SchemaTooOld {
                found,
                needed: SCHEMA_VERSION,
            }),
            Some((found, compatible)) if compatible > SCHEMA_VERSION => Err(Error::SchemaTooNew {
                found,
                compatible,
                ours: SCHEMA_VERSION,
            }),
            Some(_) => Ok(()),
        }
    }
}
