//! Everything that is to be attacked, in one piece.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use vulkan::{Client, GroupOptions};

use crate::args::Args;
use crate::attack::Grip;
use crate::board::Reader;
use crate::crew::Crew;
use crate::ledger::{Ledger, PRODUCER};
use crate::news::News;
use crate::order::{GROUPS, STREAM};
use crate::producer::Producer;
use crate::server::Server;
use crate::{Failure, Result};

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) crew: Crew,
    pub(crate) producer: Producer,
    pub(crate) news: News,
    pub(crate) ledgers: PathBuf,
    /// The transactions that attackers hold open.
    pub(crate) publisher: Grip,
    pub(crate) snapshot: Grip,
    producing: Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Stage {
    pub(crate) async fn set(args: &Args, news: News) -> Result<Arc<Self>> {
        let server = Server::start().await?;
        let ledgers = directory_for_ledgers(server.directory())?;
        let client = Client::new(pool(server.url(), "producer")?);
        prepare(&client).await?;
        let ledger = Ledger::open(&ledgers.join(PRODUCER))?;
        let stage = Arc::new(Self {
            crew: Crew::start(server.url(), &ledgers, &news)?,
            producer: Producer::new(client.clone(), ledger, news.clone()),
            server,
            client,
            news,
            ledgers,
            publisher: Grip::default(),
            snapshot: Grip::default(),
            producing: Mutex::new(None),
        });
        let (publishing, first, rate) = (Arc::clone(&stage), args.messages(), args.rate);
        let producing = tokio::spawn(async move {
            let ended = publishing.producer.run(first, rate).await;
            if let Err(error) = &ended {
                (publishing.news).tell(format!("the producer has given up: {error}"));
            }
            ended
        });
        *stage.producing.lock().await = Some(producing);
        Ok(stage)
    }

    pub(crate) fn reader(&self) -> Result<Reader> {
        Reader::new(self.server.url(), &self.ledgers)
    }

    /// Waits until the producer has stopped and written down its last orders.
    pub(crate) async fn stop_producing(&self) -> Result<()> {
        self.producer.stop();
        match self.producing.lock().await.take() {
            Some(producing) => producing.await?,
            None => Ok(()),
        }
    }

    /// Ends all processes and removes all files.
    pub(crate) async fn strike(self: Arc<Self>) -> Result<()> {
        self.producer.stop();
        if let Some(producing) = self.producing.lock().await.take() {
            producing.abort();
            let _ = producing.await;
        }
        self.publisher.let_go();
        self.snapshot.let_go();
        let stage = sole(self).await?;
        stage.crew.end().await;
        stage.server.end().await
    }
}

/// Attacks under way hold the stage, too, until the next thing that they do.
async fn sole(mut stage: Arc<Stage>) -> Result<Stage> {
    for _ in 0..600 {
        match Arc::try_unwrap(stage) {
            Ok(stage) => return Ok(stage),
            Err(shared) => stage = shared,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::from("an attack does not come to its end"))
}

fn pool(url: &str, name: &str) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    Ok(PgPoolOptions::new()
        .max_connections(5)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options.application_name(name)))
}

/// In the directory of the server, but apart from its data: the server's guard removes both, however we end.
fn directory_for_ledgers(server: &Path) -> Result<PathBuf> {
    let ledgers = server.join("ledgers");
    fs::create_dir(&ledgers)?;
    // The guard may be another user, who has to be able to remove what is in it.
    let owner = server.metadata()?;
    chown(&ledgers, Some(owner.uid()), Some(owner.gid()))?;
    Ok(ledgers)
}

pub(crate) async fn prepare(client: &Client) -> Result<()> {
    client.migrate().await?;
    client.create_stream(STREAM).await?;
    for group in GROUPS {
        client
            .ensure_group(STREAM, group, GroupOptions::default())
            .await?;
    }
    sqlx::raw_sql(include_str!("sql/tables.sql"))
        .execute(client.pool())
        .await?;
    Ok(())
}
