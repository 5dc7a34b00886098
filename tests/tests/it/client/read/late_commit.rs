use futures::StreamExt;
use vulkan::{Position, Start};

use crate::client::support::{client, message, next_offsets, until};
use crate::support::TestDb;

/// The one bug of every cursor over a sequence: offsets are drawn before they commit.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_is_not_skipped() {
    let db = TestDb::new().await;
    let client = client(&db);
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut open = client.begin().await.unwrap();
    let late = client
        .publish_in(&mut *open, message("late"))
        .await
        .unwrap();
    let early = client.publish(message("early")).await.unwrap();
    assert!(late < early);

    let mut events = client.read("orders", Position::Earliest).await.unwrap();
    let mut of_group = reader.events();
    // Whoever sleeps has looked; and looks again, once armed.
    db.asleep().await;
    until("the reader to be active", async || {
        db.value::<i64>("SELECT count(*) FROM vulkan.readers").await == 1
    })
    .await;
    assert!(futures::poll!(events.next()).is_pending());
    assert!(futures::poll!(of_group.next()).is_pending());
    let error = reader.commit(early).await.unwrap_err();
    assert!(matches!(error, vulkan::Error::Invalid(_)), "{error:?}");

    open.commit().await.unwrap();
    assert_eq!(next_offsets(&mut events, 2).await, [late, early]);
    assert_eq!(next_offsets(&mut of_group, 2).await, [late, early]);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_is_below_what_may_still_commit() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut open = client.begin().await.unwrap();
    let late = client
        .publish_in(&mut *open, message("late"))
        .await
        .unwrap();
    let early = client.publish(message("early")).await.unwrap();
    let mut events = client.read("orders", Position::Latest).await.unwrap();
    open.commit().await.unwrap();
    assert_eq!(next_offsets(&mut events, 2).await, [late, early]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_among_many_publishers_reads_everything_in_order() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut events = client.read("orders", Position::Earliest).await.unwrap();
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut offsets = Vec::new();
                for round in 0..50 {
                    let mut tx = client.begin().await.unwrap();
                    let offset = client.publish_in(&mut *tx, message("n")).await.unwrap();
                    tokio::task::yield_now().await;
                    if round % 5 == 0 {
                        tx.rollback().await.unwrap();
                    } else {
                        tx.commit().await.unwrap();
                        offsets.push(offset);
                    }
                }
                offsets
            })
        })
        .collect();
    let mut published = Vec::new();
    for publisher in publishers {
        published.extend(publisher.await.unwrap());
    }
    published.sort_unstable();
    assert_eq!(next_offsets(&mut events, published.len()).await, published);
}
