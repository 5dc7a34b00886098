//! A client on a test's database, and what it is waited for.

use futures::{Stream, StreamExt};
use serde_json::json;
use vulkan::{Client, Error, LogEvent, Message};

use crate::support::{TestDb, within};

pub(super) use vulkan_testing::until;

pub(super) fn client(db: &TestDb) -> Client {
    Client::new(db.pool.clone())
}

/// A plain event on stream `orders`.
pub(super) fn message(kind: &str) -> Message {
    Message::new("orders", kind, &json!({})).unwrap()
}

/// The next event of a stream that has one.
pub(super) async fn next<S>(events: &mut S) -> LogEvent
where
    S: Stream<Item = Result<LogEvent, Error>> + Unpin,
{
    within("the next event", events.next())
        .await
        .expect("the stream has ended")
        .expect("the stream has failed")
}

/// The offsets of the next `count` events.
pub(super) async fn next_offsets<S>(events: &mut S, count: usize) -> Vec<i64>
where
    S: Stream<Item = Result<LogEvent, Error>> + Unpin,
{
    let mut offsets = Vec::new();
    while offsets.len() < count {
        offsets.push(next(events).await.offset());
    }
    offsets
}

/// How a stream ends.
pub(super) async fn end<S>(events: &mut S) -> Option<Error>
where
    S: Stream<Item = Result<LogEvent, Error>> + Unpin,
{
    within("the end of the stream", async {
        loop {
            match events.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(error),
                None => return None,
            }
        }
    })
    .await
}

impl TestDb {
    /// Waits until a reader sleeps at the end of its stream and has asked to be rung for.
    pub(super) async fn asleep(&self) {
        until("a reader to arm its bell", async || self.bells().await > 0).await;
    }

    /// How many bells are held.
    pub(super) async fn bells(&self) -> i64 {
        self.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1459617794 AND mode = 'ExclusiveLock'
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
    }

    /// Breaks every other connection to the database.
    pub(super) async fn terminate_others(&self) {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    }
}
