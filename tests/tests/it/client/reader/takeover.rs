use std::time::Duration;

use futures::StreamExt;
use futures::future::select_all;
use vulkan::{Client, GroupOptions, Mode, Reader, ReaderEvents, Start};

use crate::client::support::{client, end, message, next, until};
use crate::support::{TestDb, within};

/// Longer than any test waits: nothing here may depend on a lease that runs out by itself.
pub(super) async fn long_lease(client: &Client, group: &str) {
    let options = GroupOptions {
        mode: Mode::Cursor,
        lease: Some(Duration::from_secs(3600)),
        ..GroupOptions::default()
    };
    client.ensure_group("orders", group, options).await.unwrap();
}

async fn reader(client: &Client) -> (Reader, ReaderEvents) {
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let events = reader.events();
    (reader, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_readers_one_is_active_and_another_follows_when_it_closes() {
    let db = TestDb::new().await;
    let client = client(&db);
    long_lease(&client, "index").await;
    let first = client.publish(message("first")).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(reader(&client).await);
    }
    for left in (1..=3).rev() {
        let asking = readers.iter_mut().map(|(_, events)| Box::pin(next(events)));
        let (event, active, _) = select_all(asking).await;
        // Nothing is committed, so each begins at the beginning.
        assert_eq!(event.offset(), first);
        let (reader, mut events) = readers.remove(active);
        for (_, standby) in &mut readers {
            assert!(futures::poll!(standby.next()).is_pending());
        }
        assert_eq!(readers.len(), left - 1);
        // Its events are still held: they end, and do not take the lease again.
        reader.close().await.unwrap();
        assert!(end(&mut events).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_follows_when_the_lease_runs_out() {
    let db = TestDb::new().await;
    let client = client(&db);
    long_lease(&client, "index").await;
    let offsets = client
        .publish_many([message("n"), message("n")])
        .await
        .unwrap();
    let (gone, mut events) = reader(&client).await;
    next(&mut events).await;
    gone.commit(offsets[0]).await.unwrap();
    let (standby, mut standing_by) = reader(&client).await;
    // As a crash: nothing is given back.
    drop(events);
    drop(gone);
    assert!(futures::poll!(standing_by.next()).is_pending());
    until("the lease to run out, and the standby to follow", async || {
        db.run("UPDATE vulkan.readers SET lease_until = clock_timestamp() - interval '1 second' WHERE term = 1")
            .await;
        db.value::<i64>("SELECT term FROM vulkan.readers").await == 2
    })
    .await;
    assert_eq!(next(&mut standing_by).await.offset(), offsets[1]);
    standby.commit(offsets[1]).await.unwrap();
}

/// It may take its time with an event: what counts is that its process lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_keeps_its_lease() {
    let db = TestDb::new().await;
    let client = client(&db);
    // More than is read ahead.
    let batch = (0..2_000).map(|_| message("n"));
    let offsets = client.publish_many(batch).await.unwrap();
    let (slow, mut events) = reader(&client).await;
    assert_eq!(next(&mut events).await.offset(), offsets[0]);
    let lease = "SELECT extract(epoch FROM lease_until)::float8 FROM vulkan.readers";
    for _ in 0..2 {
        let was: f64 = db.value(lease).await;
        until("the lease to be renewed", async || {
            db.value::<f64>(lease).await > was
        })
        .await;
    }
    let rest = within("the rest", events.by_ref().take(1_999).collect::<Vec<_>>()).await;
    let rest: Vec<i64> = rest
        .into_iter()
        .map(|event| event.unwrap().offset())
        .collect();
    assert_eq!(rest, offsets[1..]);
    slow.commit(*offsets.last().unwrap()).await.unwrap();
}
