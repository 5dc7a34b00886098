//! What a stretch of work has cost, beside its time.

use serde::Serialize;
use sqlx::PgPool;

use crate::Result;
use crate::processes;
use crate::server::Server;

/// What a stretch of work has cost.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Cost {
    pub(crate) wal_bytes: f64,
    /// Row versions that wait for a vacuum at the end.
    pub(crate) dead_tuples: f64,
    pub(crate) server_cpu_seconds: Option<f64>,
    pub(crate) client_cpu_seconds: Option<f64>,
    /// The most memory that one worker process had.
    pub(crate) peak_bytes: Option<u64>,
}

/// Measures from [`begin`](Meter::begin) to [`end`](Meter::end).
pub(crate) struct Meter {
    pool: PgPool,
    data: Option<std::path::PathBuf>,
    wal: f64,
    server_cpu: Option<f64>,
    own_cpu: Option<f64>,
}

impl Meter {
    pub(crate) async fn begin(server: &Server, pool: &PgPool) -> Result<Self> {
        let data = server.directory().map(|directory| directory.join("data"));
        let server_cpu = data.as_deref().and_then(processes::server_cpu);
        Ok(Self {
            wal: wal(pool).await?,
            pool: pool.clone(),
            data,
            server_cpu,
            own_cpu: processes::own().cpu_seconds,
        })
    }

    /// What it has cost so far. The client's part is what this process has used.
    pub(crate) async fn end(self) -> Result<Cost> {
        let server_cpu = self.data.as_deref().and_then(processes::server_cpu);
        let own_cpu = processes::own().cpu_seconds;
        Ok(Cost {
            wal_bytes: wal(&self.pool).await? - self.wal,
            dead_tuples: sqlx::query_scalar(include_str!("sql/dead_tuples.sql"))
                .fetch_one(&self.pool)
                .await?,
            server_cpu_seconds: server_cpu
                .zip(self.server_cpu)
                .map(|(end, begin)| end - begin),
            client_cpu_seconds: own_cpu.zip(self.own_cpu).map(|(end, begin)| end - begin),
            peak_bytes: None,
        })
    }
}

async fn wal(pool: &PgPool) -> Result<f64> {
    Ok(sqlx::query_scalar(include_str!("sql/wal.sql"))
        .fetch_one(pool)
        .await?)
}
