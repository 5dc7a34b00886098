//! PgQ, by its SQL: one consumer, as a queue has at a time for one name.
//!
//! Bulk inserts go by COPY into `pgq.current_event_table`, whose comment in
//! `pgq--3.5.sql` says so; single ones by `pgq.insert_event`. Ticks and maintenance are
//! what the daemon pgqd does, its `ticker_period` and the queue's `ticker_max_lag` shorter
//! than by default (1 s and 3 s): with a tick a second, a backlog of 20,000 would be the
//! most that is handled in a second. Ticks every 10, 20 and 50 ms gave the same within
//! what runs differ by. A batch is acknowledged as a whole: what has failed would have to
//! be put back by `pgq.event_retry`.

use std::{ops::Range, time::Duration};

use anyhow::{Context, Result};
use futures::{TryStreamExt, stream};
use sqlx::{
    AssertSqlSafe, PgPool, Row,
    postgres::{PgPoolCopyExt, PgPoolOptions},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    load::Order,
    peer::{Peer, Setting},
};

#[derive(Clone)]
pub struct Pgq {
    setting: Setting,
    pool: PgPool,
}

pub struct Worker {
    stop: CancellationToken,
    consumer: JoinHandle<Result<()>>,
}

impl Pgq {
    /// What the daemon pgqd does for a queue.
    async fn tick(self) -> Result<()> {
        let period = Duration::from_millis(50);
        loop {
            sqlx::query("SELECT pgq.ticker()")
                .execute(&self.pool)
                .await?;
            tokio::time::sleep(period).await;
        }
    }

    async fn maintain(self) -> Result<()> {
        loop {
            tokio::time::sleep(Duration::from_secs(30)).await;
            let operations = sqlx::query_as::<_, (String, Option<String>)>(
                "SELECT func_name, func_arg FROM pgq.maint_operations()",
            )
            .fetch_all(&self.pool)
            .await?;
            for (function, argument) in operations {
                let call = match (function.as_str(), argument) {
                    ("vacuum", Some(table)) => format!("VACUUM {table}"),
                    (function, Some(argument)) => format!("SELECT {function}('{argument}')"),
                    (function, None) => format!("SELECT {function}()"),
                };
                sqlx::query(AssertSqlSafe(call)).execute(&self.pool).await?;
            }
        }
    }

    async fn consume(self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            let batch: Option<i64> = sqlx::query_scalar("SELECT pgq.next_batch('orders', 'peers')")
                .fetch_one(&self.pool)
                .await?;
            let Some(batch) = batch else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let handled = self.handle(batch).await?;
            sqlx::query("SELECT pgq.finish_batch($1)")
                .bind(batch)
                .execute(&self.pool)
                .await?;
            self.setting.work.count(handled);
        }
        Ok(())
    }

    async fn handle(&self, batch: i64) -> Result<u64> {
        let events = sqlx::query("SELECT ev_data FROM pgq.get_batch_events($1)")
            .bind(batch)
            .fetch_all(&self.pool)
            .await?;
        let handled = u64::try_from(events.len())?;
        stream::iter(events.into_iter().map(anyhow::Ok))
            .try_for_each_concurrent(self.setting.slots, async |event| {
                let order: Order = serde_json::from_str(event.try_get("ev_data")?)?;
                self.setting.work.run(order).await;
                Ok(())
            })
            .await?;
        Ok(handled)
    }
}

async fn logged(what: &str, run: impl Future<Output = Result<()>>) {
    if let Err(error) = run.await {
        eprintln!("peers: pgq's {what} ended: {error:#}");
    }
}

impl Peer for Pgq {
    const NAME: &'static str = "pgq";
    const VERSION: &'static str = "3.5";

    type Worker = Worker;

    async fn open(setting: Setting) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .connect(&setting.url)
            .await?;
        sqlx::query("CREATE EXTENSION pgq")
            .execute(&pool)
            .await
            .context(
                "cannot create the extension pgq, which is in Debian's package postgresql-15-pgq3",
            )?;
        for call in [
            "SELECT pgq.create_queue('orders')",
            "SELECT pgq.register_consumer('orders', 'peers')",
            "SELECT pgq.set_queue_config('orders', 'ticker_max_lag', '0.1')",
        ] {
            sqlx::query(call).execute(&pool).await?;
        }
        let peer = Self { setting, pool };
        // Both end with this process, as a daemon beside it would be ended by its user.
        tokio::spawn(logged("ticker", peer.clone().tick()));
        tokio::spawn(logged("maintenance", peer.clone().maintain()));
        Ok(peer)
    }

    async fn insert(&self, ids: Range<u64>) -> Result<()> {
        let table: String = sqlx::query_scalar("SELECT pgq.current_event_table('orders')")
            .fetch_one(&self.pool)
            .await?;
        let mut rows = Vec::new();
        for id in ids {
            rows.extend_from_slice(b"now\torder\t");
            serde_json::to_writer(&mut rows, &self.setting.load.order(id))?;
            rows.push(b'\n');
        }
        let copy = format!("COPY {table} (ev_time, ev_type, ev_data) FROM STDIN");
        let mut copy = self.pool.copy_in_raw(&copy).await?;
        copy.send(rows).await?;
        copy.finish().await?;
        Ok(())
    }

    async fn insert_one(&self, id: u64) -> Result<()> {
        sqlx::query("SELECT pgq.insert_event('orders', 'order', $1)")
            .bind(serde_json::to_string(&self.setting.load.order(id))?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn start(&self) -> Result<Worker> {
        let stop = CancellationToken::new();
        let consumer = tokio::spawn(self.clone().consume(stop.clone()));
        Ok(Worker { stop, consumer })
    }

    async fn done(&self) -> Result<bool> {
        let pending = "SELECT pending_events FROM pgq.get_consumer_info('orders', 'peers')";
        let pending: i64 = sqlx::query_scalar(pending).fetch_one(&self.pool).await?;
        Ok(pending == 0)
    }

    async fn stop(worker: Worker) -> Result<()> {
        worker.stop.cancel();
        worker.consumer.await?
    }
}
