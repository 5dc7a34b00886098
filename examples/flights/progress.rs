use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use tokio::task::JoinHandle;
use vulkan::{Client, GroupOverview};

use crate::Error;

/// Shows on stderr, until dropped, how far the groups are.
pub(crate) fn show(client: Client) -> Progress {
    // A terminal gets one line that changes, a log file a line every few seconds.
    let (every, end) = if stderr().is_terminal() {
        (1000, "\r")
    } else {
        (5000, "\n")
    };
    Progress(tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(every)).await;
            if let Ok(groups) = client.overview().await {
                let line: Vec<String> = groups.iter().map(one).collect();
                let _ = write!(stderr(), "{:<110}{end}", line.join(" │ "));
            }
        }
    }))
}

fn one(group: &GroupOverview) -> String {
    let mut text = format!(
        "{}: {} to go",
        group.group,
        group.lag_messages.max(group.ready)
    );
    if group.in_flight > 0 {
        text += &format!(", {} in work", group.in_flight);
    }
    if group.dead > 0 {
        text += &format!(", {} dead", group.dead);
    }
    text
}

#[derive(Debug)]
#[must_use = "dropped, it shows nothing"]
pub(crate) struct Progress(JoinHandle<()>);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
        if stderr().is_terminal() {
            let _ = write!(stderr(), "{:<110}\r", "");
        }
    }
}

/// Waits until every message of the worker's groups is done or dead.
pub(crate) async fn until_settled(client: &Client) -> Result<(), Error> {
    let drained = include_str!("sql/drained.sql");
    while !sqlx::query_scalar::<_, bool>(drained)
        .fetch_one(client.pool())
        .await?
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
