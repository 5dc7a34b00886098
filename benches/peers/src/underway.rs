//! underway, a task and a worker of the lower API, with inserts by `enqueue_multi`.
//!
//! Each poll, and each notification, makes one more of its slots busy until it finds no
//! task: with the poll of a minute that `Worker::run` has, a backlog would be drained by
//! one slot. A slot holds a connection while it handles a task, and each dequeue looks
//! through all tasks that wait, so that it does best with a short backlog.

use std::{ops::Range, sync::Arc};

use ::underway::{Queue, Task, task};
use anyhow::Result;
use jiff::ToSpan;
use sqlx08::{PgPool, Postgres, Transaction, postgres::PgPoolOptions};
use tokio::task::JoinHandle;

use crate::{
    load::{Order, Work},
    peer::{Peer, Setting},
};

#[derive(Clone)]
struct Handler(Work);

impl Task for Handler {
    type Input = Order;
    type Output = ();

    async fn execute(&self, _: Transaction<'_, Postgres>, order: Order) -> task::Result<()> {
        self.0.handle(order).await;
        Ok(())
    }
}

#[derive(Clone)]
pub struct Underway {
    setting: Setting,
    pool: PgPool,
    queue: Arc<Queue<Handler>>,
    handler: Handler,
}

pub struct Worker {
    worker: ::underway::Worker<Handler>,
    run: JoinHandle<Result<()>>,
}

impl Peer for Underway {
    const NAME: &'static str = "underway";
    const VERSION: &'static str = "0.2.0";

    const BATCH: u64 = 100;
    const AHEAD: u64 = 500;

    type Worker = Worker;

    async fn open(setting: Setting) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(60)
            .connect(&setting.url)
            .await?;
        ::underway::run_migrations(&pool).await?;
        let queue = Queue::builder()
            .name("orders")
            .pool(pool.clone())
            .build()
            .await?;
        Ok(Self {
            handler: Handler(setting.work.clone()),
            setting,
            pool,
            queue: Arc::new(queue),
        })
    }

    async fn insert(&self, ids: Range<u64>) -> Result<()> {
        let orders: Vec<_> = ids.map(|id| self.setting.load.order(id)).collect();
        self.queue
            .enqueue_multi(&self.pool, &self.handler, &orders)
            .await?;
        Ok(())
    }

    async fn insert_one(&self, id: u64) -> Result<()> {
        let order = self.setting.load.order(id);
        self.queue
            .enqueue(&self.pool, &self.handler, &order)
            .await?;
        Ok(())
    }

    async fn loaded(&self) -> Result<()> {
        sqlx08::query("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn start(&self) -> Result<Worker> {
        let mut worker = ::underway::Worker::new(Arc::clone(&self.queue), self.handler.clone());
        worker.set_concurrency_limit(self.setting.slots);
        let run = tokio::spawn({
            let worker = worker.clone();
            async move { Ok(worker.run_every(10.milliseconds()).await?) }
        });
        Ok(Worker { worker, run })
    }

    async fn done(&self) -> Result<bool> {
        let left = "SELECT EXISTS (SELECT FROM underway.task WHERE state <> 'succeeded')";
        let left: bool = sqlx08::query_scalar(left).fetch_one(&self.pool).await?;
        Ok(!left)
    }

    async fn stop(worker: Worker) -> Result<()> {
        worker.worker.shutdown();
        worker.run.await?
    }
}
