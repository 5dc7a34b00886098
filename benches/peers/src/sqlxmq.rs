//! sqlxmq.
//!
//! `set_concurrency`: "The difference between the min and max will dictate the maximum
//! batch size which can be received: larger batch sizes are more efficient." Without the
//! keep-alive, which is a task for each job. Its builder inserts one job a statement, so
//! that a bulk insert is many of them in a transaction. It has each application copy its
//! migrations, which is where those in `migrations/sqlxmq` come from.

use std::{error::Error, ops::Range};

use ::sqlxmq::{CurrentJob, JobRegistry, JobRunnerHandle, job};
use anyhow::Result;
use sqlx08::{PgPool, postgres::PgPoolOptions};

use crate::{
    load::{Order, Work},
    peer::{Peer, Setting},
};

#[derive(Clone)]
pub struct Sqlxmq {
    setting: Setting,
    pool: PgPool,
}

#[job(channel_name = "orders")]
async fn handle_order(mut job: CurrentJob, work: Work) -> Result<(), Box<dyn Error + Send + Sync>> {
    let order: Order = job.json()?.ok_or("the job has no payload")?;
    work.run(order).await;
    job.complete().await?;
    work.count(1);
    Ok(())
}

impl Peer for Sqlxmq {
    const NAME: &'static str = "sqlxmq";
    const VERSION: &'static str = "0.6.0";

    const BATCH: u64 = 500;

    type Worker = JobRunnerHandle;

    async fn open(setting: Setting) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .connect(&setting.url)
            .await?;
        for migration in MIGRATIONS {
            sqlx08::raw_sql(migration).execute(&pool).await?;
        }
        Ok(Self { setting, pool })
    }

    async fn insert(&self, ids: Range<u64>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for id in ids {
            handle_order
                .builder()
                .set_json(&self.setting.load.order(id))?
                .spawn(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn insert_one(&self, id: u64) -> Result<()> {
        handle_order
            .builder()
            .set_json(&self.setting.load.order(id))?
            .spawn(&self.pool)
            .await?;
        Ok(())
    }

    async fn loaded(&self) -> Result<()> {
        sqlx08::query("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn start(&self) -> Result<JobRunnerHandle> {
        let mut registry = JobRegistry::new(&[handle_order]);
        registry.set_context(self.setting.work.clone());
        let slots = self.setting.slots;
        let runner = registry
            .runner(&self.pool)
            .set_concurrency((slots / 2).max(1), slots)
            .set_keep_alive(false)
            .run()
            .await?;
        Ok(runner)
    }

    async fn done(&self) -> Result<bool> {
        // The nil message is sqlxmq's own.
        let left = "SELECT EXISTS (SELECT FROM mq_msgs WHERE id <> uuid_nil())";
        let left: bool = sqlx08::query_scalar(left).fetch_one(&self.pool).await?;
        Ok(!left)
    }

    async fn stop(mut worker: JobRunnerHandle) -> Result<()> {
        worker.stop().await;
        Ok(())
    }
}

const MIGRATIONS: [&str; 5] = [
    include_str!("../migrations/sqlxmq/20210316025847_setup.up.sql"),
    include_str!("../migrations/sqlxmq/20210921115907_clear.up.sql"),
    include_str!("../migrations/sqlxmq/20211013151757_fix_mq_latest_message.up.sql"),
    include_str!("../migrations/sqlxmq/20220208120856_fix_concurrent_poll.up.sql"),
    include_str!("../migrations/sqlxmq/20220713122907_fix-clear_all-keep-nil-message.up.sql"),
];
