//! Whether groups have anything left to do.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sqlx::FromRow;

use crate::TestApp;
use crate::failure::{Caller, OrFail};

/// A transaction that publishes or claims is about to end. One that stays open is a test's own, and no reason to wait.
const ENDING: Duration = Duration::from_millis(300);
/// And not before so many looks, each of which has found nothing else: on a busy machine one can take long.
const LOOKS: u32 = 20;

/// How long nothing but a transaction in flight has stood in the way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    since: Option<Instant>,
    looks: u32,
}

/// One group as `vulkan_testing.look()` has it.
#[derive(Debug, FromRow)]
pub(super) struct Look {
    stream: String,
    consumer_group: String,
    /// The group exists.
    made: bool,
    /// Messages in work.
    processing: i64,
    /// Something can be claimed.
    due: bool,
    /// A transaction is in flight that publishes or claims.
    pending: bool,
    /// Seconds until the next message falls due.
    due_in: Option<f64>,
    /// Something was claimed during the look.
    claimed: bool,
    /// A schedule is due, or has yet to be planned.
    ticks: bool,
}

impl Look {
    pub(super) async fn at(app: &TestApp, groups: &[(String, String)], at: Caller) -> Vec<Self> {
        let (streams, groups): (Vec<_>, Vec<_>) = groups.iter().cloned().unzip();
        sqlx::query_as(include_str!("../../queries/look.sql"))
            .bind(streams)
            .bind(groups)
            .fetch_all(app.pool())
            .await
            .or_fail(at, "cannot see whether the groups are idle")
    }

    fn is_soon(&self, soon: Duration) -> bool {
        self.due_in
            .is_some_and(|due_in| due_in < soon.as_secs_f64())
    }

    fn is_idle(&self, soon: Duration) -> bool {
        let is_still = self.processing == 0 && !self.claimed && !self.ticks;
        self.made && is_still && !self.due && !self.is_soon(soon)
    }
}

/// Whether nothing is left to do.
pub(super) fn all_idle(looks: &[Look], soon: Duration, pending: &mut Pending) -> bool {
    if !looks.iter().all(|look| look.is_idle(soon)) {
        *pending = Pending::default();
        return false;
    }
    if !looks.iter().any(|look| look.pending) {
        return true;
    }
    pending.looks += 1;
    let since = pending.since.get_or_insert_with(Instant::now);
    pending.looks > LOOKS && since.elapsed() > ENDING
}

/// Why the groups are not idle, a line each.
pub(super) fn reasons(looks: &[Look], soon: Duration) -> String {
    let mut text = String::new();
    for look in looks.iter().filter(|look| !look.is_idle(soon)) {
        let mut reasons = Vec::new();
        if !look.made {
            reasons.push("the worker has not made it yet".to_owned());
        }
        if look.processing > 0 {
            reasons.push(format!("{} messages are in work", look.processing));
        }
        if look.due {
            reasons.push("messages are due".to_owned());
        } else if look.is_soon(soon) {
            reasons.push(format!("a message falls due within {soon:?}"));
        }
        if look.claimed {
            reasons.push("messages are being claimed".to_owned());
        }
        if look.ticks {
            reasons.push("a schedule is due".to_owned());
        }
        let (stream, group) = (&look.stream, &look.consumer_group);
        let name = match stream.as_str() {
            "" => "no group".to_owned(),
            _ => format!("group {group:?} of stream {stream:?}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name}: {}", reasons.join(", "));
    }
    text
}
