//! apalis-postgres, with the batches that its `Config::batch_size` says are for throughput.
//!
//! `lock_tasks(false)` as in its own tests: a fetch has locked its tasks already, and the
//! second lock is one more write for each. Not `parallelize`, which apalis's README has:
//! a task for each message was slower by a tenth. Its query sorts all that wait, which
//! makes small batches and long backlogs slow: a drain of 50,000 in batches of 500,
//! 2,000 and 5,000 gave 9,500, 14,400 and 27,100/s, two workers in one process 29,800/s.

use std::{ops::Range, time::Duration};

use ::apalis_postgres::{Config, PostgresStorage, queries::push_tasks};
use anyhow::Result;
use apalis::prelude::*;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinHandle;

use crate::{
    load::{Order, Work},
    peer::{Peer, Setting},
};

const QUEUE: &str = "orders";
const BATCH: usize = 5_000;
const WORKERS: usize = 2;

/// A worker has to be told how it is woken when it has found nothing.
const POLL: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub struct ApalisPostgres {
    setting: Setting,
    pool: PgPool,
}

pub struct Worker {
    context: WorkerContext,
    run: JoinHandle<Result<()>>,
}

impl Peer for ApalisPostgres {
    const NAME: &'static str = "apalis-postgres";
    const VERSION: &'static str = "1.0.0";

    type Worker = Vec<Worker>;

    async fn open(setting: Setting) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .connect(&setting.url)
            .await?;
        PostgresStorage::setup(&pool).await?;
        Ok(Self { setting, pool })
    }

    async fn insert(&self, ids: Range<u64>) -> Result<()> {
        let tasks = ids
            .map(|id| {
                let order = serde_json::to_vec(&self.setting.load.order(id))?;
                Ok(TaskBuilder::new(order).build())
            })
            .collect::<Result<Vec<_>>>()?;
        let mut connection = self.pool.acquire().await?;
        push_tasks(&mut *connection, QUEUE, tasks).await?;
        Ok(())
    }

    async fn insert_one(&self, id: u64) -> Result<()> {
        self.insert(id..id + 1).await
    }

    async fn loaded(&self) -> Result<()> {
        sqlx::query("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn start(&self) -> Result<Vec<Worker>> {
        let config = Config::default()
            .queue(QUEUE)
            .batch_size(BATCH)
            .lock_tasks(false);
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let context = WorkerContext::new(&format!("peers-{number}"));
            let storage: PostgresStorage<Order> =
                PostgresStorage::new(&self.pool).with_config(config.clone());
            let worker = WorkerBuilder::new(&context)
                .backend(storage.poll_with_interval(POLL))
                .concurrency(self.setting.slots.div_ceil(WORKERS))
                .data(self.setting.work.clone())
                .build(handle);
            let run = tokio::spawn(async move { Ok(worker.run().await?) });
            workers.push(Worker { context, run });
        }
        Ok(workers)
    }

    async fn done(&self) -> Result<bool> {
        let left = "SELECT EXISTS (SELECT FROM apalis.jobs WHERE status <> 'Done')";
        let left: bool = sqlx::query_scalar(left).fetch_one(&self.pool).await?;
        Ok(!left)
    }

    async fn stop(workers: Vec<Worker>) -> Result<()> {
        for worker in workers {
            worker.context.stop()?;
            worker.run.await??;
        }
        Ok(())
    }
}

async fn handle(order: Order, work: Data<Work>) -> Result<(), BoxDynError> {
    work.handle(order).await;
    Ok(())
}
