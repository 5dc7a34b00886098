//! graphile_worker, with its local queue and its batched completion.
//!
//! Its documentation calls this the "throughput-oriented worker"
//! (docs/src/configuration/worker-options.md, docs/src/guides/local-queue.md); the
//! sizes are those of its own `benches/perf_test.rs`.

use std::{ops::Range, sync::Arc, time::Duration};

use ::graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions,
    WorkerUtils,
};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinHandle;

use crate::{
    load::{Order, Work},
    peer::{Peer, Setting},
};

const SCHEMA: &str = "graphile_worker";

#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Job(Order);

impl TaskHandler for Job {
    const IDENTIFIER: &'static str = "order";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let Some(work) = context.get_ext::<Work>() else {
            return Err("the worker has no work".to_owned());
        };
        work.handle(self.0).await;
        Ok(())
    }
}

#[derive(Clone)]
pub struct GraphileWorker {
    setting: Setting,
    pool: PgPool,
    utils: WorkerUtils,
}

pub struct Worker {
    worker: Arc<::graphile_worker::Worker>,
    run: JoinHandle<Result<()>>,
}

impl Peer for GraphileWorker {
    const NAME: &'static str = "graphile_worker";
    const VERSION: &'static str = "0.14.1";

    type Worker = Worker;

    async fn open(setting: Setting) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .connect(&setting.url)
            .await?;
        let utils = WorkerUtils::new(pool.clone(), SCHEMA);
        utils.migrate().await?;
        Ok(Self {
            setting,
            pool,
            utils,
        })
    }

    async fn insert(&self, ids: Range<u64>) -> Result<()> {
        let spec = JobSpec::default();
        let jobs: Vec<_> = ids
            .map(|id| (Job(self.setting.load.order(id)), &spec))
            .collect();
        self.utils.add_jobs::<Job>(&jobs).await?;
        Ok(())
    }

    async fn insert_one(&self, id: u64) -> Result<()> {
        let job = Job(self.setting.load.order(id));
        self.utils.add_job(job, JobSpec::default()).await?;
        Ok(())
    }

    async fn loaded(&self) -> Result<()> {
        sqlx::query("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn start(&self) -> Result<Worker> {
        let queue = LocalQueueConfig::default().with_size(5_000);
        let worker = WorkerOptions::default()
            .schema(SCHEMA)
            .concurrency(self.setting.slots)
            .poll_interval(Duration::from_millis(5))
            .complete_job_batch_delay(Duration::from_millis(5))
            .local_queue(queue)
            // The signals are for the whole program.
            .listen_os_shutdown_signals(false)
            .add_extension(self.setting.work.clone())
            .define_job::<Job>()
            .pg_pool(self.pool.clone())
            .init()
            .await?;
        let worker = Arc::new(worker);
        let run = tokio::spawn({
            let worker = Arc::clone(&worker);
            async move { Ok(worker.run().await?) }
        });
        Ok(Worker { worker, run })
    }

    async fn done(&self) -> Result<bool> {
        let left = "SELECT EXISTS (SELECT FROM graphile_worker._private_jobs)";
        let left: bool = sqlx::query_scalar(left).fetch_one(&self.pool).await?;
        Ok(!left)
    }

    async fn stop(worker: Worker) -> Result<()> {
        worker.worker.request_shutdown();
        worker.run.await?
    }
}
