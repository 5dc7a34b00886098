//! Two transactions that are open for too long: a publisher's, which the stream waits for, and a reader's, whose snapshot keeps
//! every row version alive.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::Result;
use crate::stage::Stage;

/// The first call holds, the next lets go.
pub(super) async fn publisher(stage: &Stage) -> Result<()> {
    if stage.publisher.let_go() {
        return Ok(());
    }
    let mut connection = connect(stage, "a publisher that dawdles").await?;
    let order = stage.producer.next_order();
    let mut tx = connection.begin().await?;
    let offset = stage.client.publish_in(&mut *tx, &order).await?;
    let news = &stage.news;
    news.tell(format!(
        "a publisher keeps message {offset} uncommitted: what is behind it waits"
    ));
    if !stage.publisher.hold(&mut tx).await {
        news.tell("the publisher's transaction went with the server: never acknowledged");
        return Ok(());
    }
    match tx.commit().await {
        Ok(()) => {
            stage.producer.acked(&[order], &[offset])?;
            news.tell(format!(
                "message {offset} is committed at last: it is handed out, and all behind it"
            ));
        }
        Err(error) => news.tell(format!("the publisher has not committed: {error}")),
    }
    Ok(())
}

/// The first call holds, the next lets go.
pub(super) async fn snapshot(stage: &Stage) -> Result<()> {
    if stage.snapshot.let_go() {
        return Ok(());
    }
    let mut connection = connect(stage, "a reader that dawdles").await?;
    let mut tx = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await?;
    sqlx::query("SELECT").execute(&mut *tx).await?;
    let news = &stage.news;
    news.tell("a reader holds its snapshot: dead rows pile up, and work goes on");
    let good = stage.snapshot.hold(&mut tx).await;
    news.tell("the snapshot is let go");
    if good {
        tx.rollback().await?;
    }
    Ok(())
}

async fn connect(stage: &Stage, name: &str) -> Result<PgConnection> {
    let options: PgConnectOptions = stage.server.url().parse()?;
    Ok(options.application_name(name).connect().await?)
}
