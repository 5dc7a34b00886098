//! One reading of the scoreboard.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, Transaction};
use tokio::time::timeout;

use super::{Board, HeldSnapshot, Stall};
use crate::Result;
use crate::ledger::{Acked, PRODUCER, Tail, Workers, Written};
use crate::number::{Counts, Number};

/// A server that gives no answer for so long is away.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads ledgers and numbers over a connection of its own, which it opens anew after trouble.
#[derive(Debug)]
pub(crate) struct Reader {
    options: PgConnectOptions,
    directory: PathBuf,
    connection: Option<PgConnection>,
    producer: Tail,
    workers: Workers,
    /// Read from the ledgers, and not yet known to be in the database.
    acked: Vec<Acked>,
    handled: Vec<Written>,
}

impl Reader {
    pub(crate) fn new(url: &str, directory: &Path) -> Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        Ok(Self {
            // To compile a plan takes longer than to run it.
            options: options
                .application_name("scoreboard")
                .options([("jit", "off")]),
            directory: directory.to_owned(),
            connection: None,
            producer: Tail::new(directory.join(PRODUCER)),
            workers: Workers::new(directory.to_owned()),
            acked: Vec::new(),
            handled: Vec::new(),
        })
    }

    pub(crate) async fn read(&mut self) -> Result<Board> {
        let began = Instant::now();
        // Taken out, and put back only if all went well: what is dropped half way is not used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => timeout(PATIENCE, self.options.connect()).await??,
        };
        let board = timeout(PATIENCE, self.read_over(&mut connection, began)).await??;
        self.connection = Some(connection);
        Ok(board)
    }

    /// Throws away what was read of the ledgers, and reads them from the beginning.
    pub(crate) async fn read_anew(&mut self) -> Result<Board> {
        let mut connection = self.options.connect().await?;
        sqlx::query(include_str!("../sql/forget_ledgers.sql"))
            .execute(&mut connection)
            .await?;
        self.producer = Tail::new(self.directory.join(PRODUCER));
        self.workers.rewind();
        self.acked.clear();
        self.handled.clear();
        self.read().await
    }

    /// The order makes the numbers fit each other. What was acknowledged is read before the snapshot, which therefore shows all of
    /// it; what was handled is read after it, so that all that the snapshot shows as done has its line by then.
    async fn read_over(&mut self, connection: &mut PgConnection, began: Instant) -> Result<Board> {
        let new = self.producer.next::<Acked>()?;
        self.acked.extend(new.into_iter().map(|(_, acked)| acked));
        let stall = sqlx::query_as(Stall::SQL)
            .fetch_optional(&mut *connection)
            .await?;
        let snapshot = sqlx::query_as(HeldSnapshot::SQL)
            .fetch_optional(&mut *connection)
            .await?;
        let mut tx = connection
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
            .await?;
        // The first statement takes the snapshot.
        sqlx::query("SELECT").execute(&mut *tx).await?;
        self.handled.extend(self.workers.next()?);
        self.load(&mut tx).await?;
        sqlx::query(include_str!("../sql/mark_reading.sql"))
            .execute(&mut *tx)
            .await?;
        let mut counts = Counts::default();
        for number in Number::ALL {
            let rows: Vec<(String, i64)> = sqlx::query_as(number.sql()).fetch_all(&mut *tx).await?;
            for (group, messages) in rows {
                counts.set(number, &group, messages);
            }
        }
        tx.commit().await?;
        self.acked.clear();
        self.handled.clear();
        Ok(Board {
            counts,
            stall,
            snapshot,
            at: Instant::now(),
            took: began.elapsed(),
        })
    }

    /// Lines that are there already, because the answer to a commit was lost, are left alone.
    async fn load(&self, tx: &mut Transaction<'_, Postgres>) -> Result<()> {
        sqlx::query(include_str!("../sql/load_acked.sql"))
            .bind(column(&self.acked, |acked| acked.order))
            .bind(column(&self.acked, |acked| acked.offset))
            .execute(&mut **tx)
            .await?;
        for (ledger, entries) in &self.handled {
            sqlx::query(include_str!("../sql/load_handled.sql"))
                .bind(ledger)
                .bind(column(entries, |(line, _)| *line))
                .bind(column(entries, |(_, handled)| handled.group.clone()))
                .bind(column(entries, |(_, handled)| handled.offset))
                .bind(column(entries, |(_, handled)| handled.attempt))
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}

fn column<T, C>(entries: &[T], value: impl Fn(&T) -> C) -> Vec<C> {
    entries.iter().map(value).collect()
}
