//! The server goes and comes back, and work with it.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::ledger::{Workers, Written};
use crate::order::PAYMENTS;
use crate::server::How;
use crate::stage::Stage;
use crate::{Failure, Result};

const LOOK: Duration = Duration::from_millis(20);
/// Nobody waits longer for the first message to be handled.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn play(stage: &Stage, how: How) -> Result<()> {
    let news = &stage.news;
    news.tell(match how {
        How::Fast => "Postgres is restarted: pg_ctl restart -m fast",
        How::Immediate => "Postgres is unplugged: pg_ctl stop -m immediate; recovery follows",
    });
    let mut workers = Workers::new(stage.ledgers.clone());
    // What lies before does not matter, and is read now, while nobody waits.
    workers.next()?;
    let Some(back) = stage.server.bounce(how).await? else {
        news.tell("Postgres is being restarted already");
        return Ok(());
    };
    let away = back.away.as_secs_f64();
    let flows = async {
        loop {
            if let Some(first) = first_since(back.at, &workers.next()?) {
                return Ok::<_, Failure>(first);
            }
            sleep(LOOK).await;
        }
    };
    news.tell(match timeout(PATIENCE, flows).await {
        Ok(first) => {
            let after = Duration::from_micros(first?.saturating_sub(back.at)).as_secs_f64();
            format!("Postgres was away for {away:.1} s; work flowed again {after:.2} s after that")
        }
        Err(_) => format!("Postgres was away for {away:.1} s; no payment was handled since"),
    });
    Ok(())
}

/// When the first payment came to its end that was begun after `since`. What began before, or only sends e-mails, says nothing of the
/// server: its handler may have been at work, or have had its message, since before the server went.
fn first_since(since: u64, written: &[Written]) -> Option<u64> {
    let entries = written.iter().flat_map(|(_, entries)| entries);
    entries
        .filter(|(_, handled)| handled.group == PAYMENTS && handled.began >= since)
        .map(|(_, handled)| handled.ended)
        .min()
}

#[cfg(test)]
mod tests {
    use super::first_since;
    use crate::ledger::Handled;

    #[test]
    fn only_what_needs_the_server_that_came_back_tells_that_work_flows() {
        let entry = |group: &str, began, ended| {
            let handled = Handled {
                group: group.into(),
                offset: 1,
                attempt: 1,
                began,
                ended,
            };
            (1, handled)
        };
        let before = ("worker-1-1".to_owned(), vec![entry("payments", 99, 170)]);
        let mail = ("worker-2-1".to_owned(), vec![entry("emails", 101, 150)]);
        assert_eq!(first_since(100, &[before.clone(), mail.clone()]), None);
        let after = vec![entry("payments", 160, 260), entry("payments", 150, 250)];
        let after = ("worker-3-1".to_owned(), after);
        assert_eq!(first_since(100, &[before, mail, after]), Some(250));
    }
}
