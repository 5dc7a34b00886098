use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use vulkan::{Client, Error, GroupOptions};

use super::depth::Depth;
use super::error::AdapterError;
use super::lines::{Line, System};
use super::meters::Meters;
use super::stop::Stop;
use super::{GROUP, STREAM};

/// How long to wait for a database that is away.
const PAUSE: Duration = Duration::from_millis(500);

/// What is there once the database is.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) descriptor: Line,
    pub(super) depth: Arc<Depth>,
}

/// Makes schema, stream and group, and waits for a database that is away; `None` if it is told to stop meanwhile.
pub(super) async fn prepare(
    client: &Client,
    meters: &Meters,
    stop: &Stop,
) -> Result<Option<Prepared>, AdapterError> {
    let started_at = Utc::now();
    let mut told = false;
    loop {
        let answer = tokio::select! {
            answer = attempt(client, meters, started_at) => answer,
            () = stop.asked() => return Ok(None),
        };
        match answer {
            Ok(prepared) => return Ok(Some(prepared)),
            Err(error) if error.is_transient() => {
                if !told {
                    tracing::warn!(%error, "waits for the database");
                    told = true;
                }
            }
            Err(error) => return Err(AdapterError::Prepare(error)),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.asked() => return Ok(None),
        }
    }
}

async fn attempt(
    client: &Client,
    meters: &Meters,
    started_at: DateTime<Utc>,
) -> Result<Prepared, Error> {
    client.migrate().await?;
    client.create_stream(STREAM).await?;
    client
        .ensure_group(STREAM, GROUP, GroupOptions::default())
        .await?;
    let event_tables = sqlx::query_scalar(include_str!("../sql/adapter_tables.sql"))
        .fetch_all(client.pool())
        .await?;
    let (db_name, schema_version): (String, i32) =
        sqlx::query_as(include_str!("../sql/adapter_database.sql"))
            .fetch_one(client.pool())
            .await?;
    Ok(Prepared {
        descriptor: Line::Descriptor {
            system: System,
            event_tables,
            extensions: [],
            version: env!("CARGO_PKG_VERSION"),
            schema_version: schema_version.to_string(),
            db_name,
            started_at: started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        },
        depth: Arc::new(Depth::read(client.pool(), meters).await?),
    })
}
