//! apalis-postgres.
use std::{ops::Range, time::Duration};

use ::apalis_postgres::{Config, PostgresStorage, queries::push_tasks};
use anyhow::Result;
use apalis::prelude::*;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    load::{Order, Work},
    peer::{Peer, Setting},
};

const QUEUE: &str = "orders";

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
        let count: usize = crate::tune::tune("WORKERS", 1);
        let config = Config::default()
            .queue(QUEUE)
            .batch_size(crate::tune::tune("BATCH", 500))
            .lock_tasks(false);
        let mut workers = Vec::new();
        for number in 0..count {
            let context = WorkerContext::new(&format!("peers-{number}"));
            let storage: PostgresStorage<Order> =
                PostgresStorage::new(&self.pool).with_config(config.clone());
            let backend =
                storage.poll_with_interval(Duration::from_millis(crate::tune::tune("POLL", 10)));
            let runtime = Handle::current();
            let slots = self.setting.slots.div_ceil(count);
            let work = self.setting.work.clone();
            let running = context.clone();
            let par: bool = crate::tune::tune("PAR", true);
            let run = tokio::task::spawn_blocking(move || {
                if par {
                let worker = WorkerBuilder::new(&running)
                    .backend(backend)
                    .concurrency(slots)
                    .parallelize(tokio::spawn)
                    .data(work)
                    .build(handle);
                Ok(runtime.block_on(worker.run())?)
                } else {
                let worker = WorkerBuilder::new(&running)
                    .backend(backend)
                    .concurrency(slots)
                    .data(work)
                    .build(handle);
                Ok(runtime.block_on(worker.run())?)
                }
            });
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
