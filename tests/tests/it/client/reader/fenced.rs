use vulkan::{DryRun, Error, Position, Start};

use super::takeover::long_lease;
use crate::client::support::{client, end, message, next, next_offsets};
use crate::support::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_reader_commits_nothing_and_its_events_end() {
    let db = TestDb::new().await;
    let client = client(&db);
    let offsets = client
        .publish_many([message("n"), message("n")])
        .await
        .unwrap();
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut events = reader.events();
    next(&mut events).await;
    // It was away for longer than its lease, and another one took over.
    db.run("UPDATE vulkan.readers SET reader = 'another', term = term + 1")
        .await;
    let error = reader.commit(offsets[0]).await.unwrap_err();
    assert!(matches!(error, Error::Superseded(_)), "{error:?}");
    let mut tx = client.begin().await.unwrap();
    let error = reader.commit_in(&mut *tx, offsets[0]).await.unwrap_err();
    assert!(matches!(error, Error::Superseded(_)), "{error:?}");
    drop(tx);
    let error = end(&mut events).await;
    assert!(matches!(error, Some(Error::Superseded(_))), "{error:?}");
    assert_eq!(
        db.value::<i64>("SELECT cursor FROM vulkan.group_overview")
            .await,
        0
    );
    // It does not take back what is another's.
    reader.close().await.unwrap();
    let active: String = db
        .value("SELECT reader FROM vulkan.readers WHERE lease_until > clock_timestamp()")
        .await;
    assert_eq!(active, "another");
}

/// An operator's replay stands, whatever the reader was about to commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_fences_the_reader() {
    let db = TestDb::new().await;
    let client = client(&db);
    long_lease(&client, "index").await;
    let offsets = client
        .publish_many((0..3).map(|_| message("n")))
        .await
        .unwrap();
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut events = reader.events();
    assert_eq!(next_offsets(&mut events, 3).await, offsets);
    reader.commit(offsets[1]).await.unwrap();

    let dry = client
        .replay("orders", "index", Position::Earliest, DryRun::Yes)
        .await
        .unwrap();
    assert_eq!((dry.cursor_was, dry.cursor_is), (offsets[1], 0));
    assert_eq!(reader.commit(offsets[1]).await.unwrap(), offsets[1], "dry");

    client
        .replay("orders", "index", Position::Earliest, DryRun::No)
        .await
        .unwrap();
    let error = reader.commit(offsets[2]).await.unwrap_err();
    assert!(matches!(error, Error::Superseded(_)), "{error:?}");
    let error = end(&mut events).await;
    assert!(matches!(error, Some(Error::Superseded(_))), "{error:?}");

    // Whoever asks next is active at once, with the long lease still running for nobody.
    let another = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut again = another.events();
    assert_eq!(next_offsets(&mut again, 3).await, offsets);
    another.commit(offsets[2]).await.unwrap();
    let mut anew = reader.events();
    another.close().await.unwrap();
    let last = client.publish(message("n")).await.unwrap();
    assert_eq!(next(&mut anew).await.offset(), last);
    reader.commit(last).await.unwrap();
}
