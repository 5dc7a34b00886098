//! The server goes and comes back, and work with it.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::Result;
use crate::board::WORKER;
use crate::server::How;
use crate::stage::Stage;

const LOOK: Duration = Duration::from_millis(20);
/// Nobody waits longer for the first message to be handled.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn play(stage: &Stage, how: How) -> Result<()> {
    let news = &stage.news;
    news.tell(match how {
        How::Fast => "Postgres is restarted: pg_ctl restart -m fast",
        How::Immediate => "Postgres is unplugged: pg_ctl stop -m immediate, and crash recovery",
    });
    let Some(away) = stage.server.bounce(how).await? else {
        news.tell("Postgres is being restarted already");
        return Ok(());
    };
    let (before, since) = (written(stage)?, Instant::now());
    while written(stage)? == before && since.elapsed() < PATIENCE {
        sleep(LOOK).await;
    }
    let (away, since) = (away.as_secs_f64(), since.elapsed().as_secs_f64());
    news.tell(format!(
        "Postgres was away for {away:.1} s; work flowed again {since:.1} s after its return"
    ));
    Ok(())
}

/// What the workers have written into their ledgers: it grows while they work.
fn written(stage: &Stage) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(&stage.ledgers)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(WORKER) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
