//! A worker that is frozen for longer than its lease, and then goes on as if nothing had happened.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::Result;
use crate::crew::NAP;
use crate::order::{EMAILS, PAYMENTS};
use crate::stage::Stage;
use crate::worker::{LEASE, Told};

/// For the process to have a message of each group in work.
const FOR_WORK: Duration = Duration::from_secs(60);
/// For it to come to the end of its handlers, and for the scoreboard to have read so.
const FOR_THE_END: Duration = Duration::from_secs(30);

pub(super) async fn play(stage: &Stage) -> Result<()> {
    let news = &stage.news;
    let freezing = async {
        loop {
            let member = stage.crew.somebody().await;
            let nth = member.seen().nth;
            news.tell(format!(
                "worker {nth} is to freeze in the midst of its work"
            ));
            member.tell(Told::Freeze);
            // Another attack may have it first.
            if let Some(held) = member.frozen().await {
                return (member, held);
            }
        }
    };
    let Ok((member, held)) = timeout(FOR_WORK, freezing).await else {
        news.tell("no worker has anything in work to be frozen with");
        return Ok(());
    };
    let nth = member.seen().nth;
    let (nap, lease) = (NAP.as_secs(), LEASE.as_secs());
    news.tell(format!(
        "worker {nth} is frozen for {nap} s (SIGSTOP); its lease is {lease} s"
    ));
    member.awake().await;
    news.tell(format!(
        "worker {nth} goes on (SIGCONT): its messages are somebody else's now"
    ));
    for (group, offset) in [(EMAILS, held.email), (PAYMENTS, held.payment)] {
        let Some(offset) = offset else { continue };
        let known = timeout(FOR_THE_END, outcome(stage, group, offset)).await;
        news.tell(match known {
            Ok((runs, effects)) if group == EMAILS => format!(
                "email {offset}: handled {}, sent {} (at least once)",
                times(runs),
                times(effects)
            ),
            Ok((runs, effects)) => format!(
                "payment {offset}: handled {}, booked {} (exactly once)",
                times(runs),
                times(effects)
            ),
            Err(_) => format!("message {offset} of {group} has not been handled by another yet"),
        });
    }
    Ok(())
}

/// How often the message was handled and how often it had its effect, once it was handled twice.
async fn outcome(stage: &Stage, group: &str, offset: i64) -> (i64, i64) {
    loop {
        let found: sqlx::Result<(i64, i64)> = sqlx::query_as(include_str!("../sql/twice.sql"))
            .bind(group)
            .bind(offset)
            .fetch_one(stage.client.pool())
            .await;
        match found {
            Ok((runs, effects)) if runs > 1 => return (runs, effects),
            // Not yet, or the server is away.
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

fn times(many: i64) -> String {
    match many {
        1 => "once".into(),
        2 => "twice".into(),
        _ => format!("{many} times"),
    }
}
