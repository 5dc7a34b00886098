//! pgmq, its SQL installed by its crate (README, "Install using the embedded scripts").
//!
//! `read_batch`, then `delete_batch` for what was handled: `pop` would lose what a worker
//! dies with, and an unlogged queue what the server does. Its documentation names no
//! sizes for throughput.

use std::{ops::Range, time::Duration};

use ::pgmq::{Message, PGMQueueExt};
use anyhow::Result;
use futures::{StreamExt, stream};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    load::Order,
    peer::{Peer, Setting},
};

const QUEUE: &str = "orders";
const BATCH: i32 = 500;
const CONSUMERS: usize = 4;

/// How long a message stays hidden that was read and not deleted.
const HIDDEN: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Pgmq {
    setting: Setting,
    pool: PgPool,
    queue: PGMQueueExt,
}

pub struct Worker {
    stop: CancellationToken,
    consumers: JoinSet<Result<()>>,
}

impl Pgmq {
    async fn consume(self, slots: usize, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            let batch: Vec<Message<Order>> = self.queue.read_batch(QUEUE, HIDDEN, BATCH).await?;
            if batch.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let ids: Vec<_> = batch.iter().map(|message| message.msg_id).collect();
            stream::iter(batch)
                .for_each_concurrent(slots, async |message| {
                    self.setting.work.run(message.message).await;
                })
                .await;
            self.queue.delete_batch(QUEUE, &ids).await?;
            self.setting.work.count(u64::try_from(ids.len())?);
        }
        Ok(())
    }
}

impl Peer for Pgmq {
    const NAME: &'static str = "pgmq";
    const VERSION: &'static str = "0.34.0-alpha.7";

    type Worker = Worker;

    async fn open(setting: Setting) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .connect(&setting.url)
            .await?;
        let queue = PGMQueueExt::new_with_pool(pool.clone()).await;
        queue.install_sql_from_embedded().await?;
        queue.create(QUEUE).await?;
        Ok(Self {
            setting,
            pool,
            queue,
        })
    }

    async fn insert(&self, ids: Range<u64>) -> Result<()> {
        let orders: Vec<_> = ids.map(|id| self.setting.load.order(id)).collect();
        self.queue.send_batch(QUEUE, &orders).await?;
        Ok(())
    }

    async fn insert_one(&self, id: u64) -> Result<()> {
        self.queue.send(QUEUE, &self.setting.load.order(id)).await?;
        Ok(())
    }

    async fn loaded(&self) -> Result<()> {
        sqlx::query("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn start(&self) -> Result<Worker> {
        let stop = CancellationToken::new();
        let mut consumers = JoinSet::new();
        let count = self.setting.slots.min(CONSUMERS);
        for _ in 0..count {
            let slots = self.setting.slots.div_ceil(count);
            consumers.spawn(self.clone().consume(slots, stop.clone()));
        }
        Ok(Worker { stop, consumers })
    }

    async fn done(&self) -> Result<bool> {
        let left = "SELECT EXISTS (SELECT FROM pgmq.q_orders)";
        let left: bool = sqlx::query_scalar(left).fetch_one(&self.pool).await?;
        Ok(!left)
    }

    async fn stop(mut worker: Worker) -> Result<()> {
        worker.stop.cancel();
        while let Some(ended) = worker.consumers.join_next().await {
            ended??;
        }
        Ok(())
    }
}
