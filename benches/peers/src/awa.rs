//! awa, with its queue storage.
//!
//! docs/configuration.md of its repository: bulk producers load by
//! `QueueStorage::enqueue_params_copy` ("Producer path choice"), a hot workload is
//! partitioned first ("Choosing a throughput lever"), and a zero deadline takes the
//! short path of the receipts ("What the knobs mean"). A handler's slot is taken until its
//! completion is durable: 1,024 slots drained 17,500/s here, 256 slots 14,700/s. Without
//! the ANALYZE after the load, which its own benchmark of a deep backlog has too, 1,024
//! slots drained 5,900/s.

use std::{ops::Range, sync::Arc, time::Duration};

use ::awa::{
    Client, InsertOpts, InsertParams, JobArgs, JobResult, PartitionedQueue, QueueConfig,
    QueueStorage, QueueStorageConfig, model::insert::params_with,
};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use sqlx08::{PgPool, postgres::PgPoolOptions};

use crate::{
    load::Order,
    peer::{Peer, Setting},
};

/// Drains with one, two and four partitions gave 12,300, 12,500 and 9,600/s here, steady
/// runs with one and two of them 4,300 and 6,600/s in turns on a busy machine. Four
/// shards in one partition (`enqueue_shards`) lay between.
const PARTITIONS: usize = 2;

/// `QueueStorage::queue_counts` takes seconds where many are completed.
const COMPLETED: &str = "
    SELECT (SELECT coalesce(sum(completed_count), 0) FROM awa.receipt_completion_batches)::bigint
        + (SELECT coalesce(sum(pruned_completed_count), 0) FROM awa.queue_terminal_rollups)::bigint
        + (SELECT count(*) FROM awa.done_entries)";

#[derive(Debug, Serialize, Deserialize, JobArgs)]
#[serde(transparent)]
struct Job {
    order: Order,
}

#[derive(Clone)]
pub struct Awa {
    setting: Setting,
    pool: PgPool,
    queue: PartitionedQueue,
    storage: Arc<QueueStorage>,
}

impl Awa {
    fn params(&self, id: u64) -> Result<InsertParams> {
        Ok(params_with(&self.job(id), self.opts(id)?)?)
    }

    fn job(&self, id: u64) -> Job {
        Job {
            order: self.setting.load.order(id),
        }
    }

    fn opts(&self, id: u64) -> Result<InsertOpts> {
        let index = usize::try_from(id)?;
        Ok(self.queue.route_opts_by_index(InsertOpts::default(), index))
    }
}

impl Peer for Awa {
    const NAME: &'static str = "awa";
    const VERSION: &'static str = "0.6.9";

    type Worker = Client;

    async fn open(setting: Setting) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(30)
            .connect(&setting.url)
            .await?;
        ::awa::migrations::run(&pool).await?;
        let queue = PartitionedQueue::new("orders", PARTITIONS)?;
        let storage = Arc::new(QueueStorage::new(QueueStorageConfig::default())?);
        Ok(Self {
            setting,
            pool,
            queue,
            storage,
        })
    }

    async fn insert(&self, ids: Range<u64>) -> Result<()> {
        let jobs = ids.map(|id| self.params(id)).collect::<Result<Vec<_>>>()?;
        self.storage.enqueue_params_copy(&self.pool, &jobs).await?;
        Ok(())
    }

    async fn insert_one(&self, id: u64) -> Result<()> {
        ::awa::insert_with(&self.pool, &self.job(id), self.opts(id)?).await?;
        Ok(())
    }

    async fn loaded(&self) -> Result<()> {
        sqlx08::query("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn start(&self) -> Result<Client> {
        let config = QueueConfig {
            max_workers: u32::try_from(self.setting.slots.div_ceil(self.queue.partitions()))?,
            deadline_duration: Duration::ZERO,
            ..QueueConfig::default()
        };
        let work = self.setting.work.clone();
        let client = Client::builder(self.pool.clone())
            .partitioned_queue(&self.queue, config)
            .register::<Job, _, _>(move |job, _| {
                let work = work.clone();
                async move {
                    work.handle(job.order).await;
                    Ok(JobResult::Completed)
                }
            })
            .build()?;
        client.start().await?;
        Ok(client)
    }

    async fn done(&self) -> Result<bool> {
        let completed: i64 = sqlx08::query_scalar(COMPLETED)
            .fetch_one(&self.pool)
            .await?;
        Ok(u64::try_from(completed)? >= self.setting.work.handled())
    }

    async fn stop(worker: Client) -> Result<()> {
        worker.shutdown(Duration::from_secs(10)).await;
        Ok(())
    }
}
