//! Two transactions that are open for too long: a publisher's, which the stream waits for, and a reader's, whose snapshot keeps
//! every row version alive.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::grip::AT_MOST;
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
    let (news, seconds) = (&stage.news, AT_MOST.as_secs());
    news.tell(format!(
        "a publisher does not commit message {offset}: nothing behind it is handed out, for {seconds} s at most"
    ));
    if !stage.publisher.hold(&mut tx).await {
        news.tell(
            "the publisher's transaction is gone with the server: never acknowledged, never there",
        );
        return Ok(());
    }
    match tx.commit().await {
        Ok(()) => {
            stage.producer.acked(&[order], &[offset])?;
            news.tell(format!(
                "the publisher has committed message {offset}: the stream goes on, and nobody has skipped it"
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
    let (news, seconds) = (&stage.news, AT_MOST.as_secs());
    news.tell(format!(
        "a reader holds its snapshot, for {seconds} s at most: dead rows pile up, and work goes on"
    ));
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
