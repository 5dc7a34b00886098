use vulkan::{Error, Start};

use crate::client::support::{client, message, next, next_offsets};
use crate::support::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn reading_goes_on_after_what_was_committed() {
    let db = TestDb::new().await;
    let client = client(&db);
    let offsets = client
        .publish_many((0..4).map(|_| message("n")))
        .await
        .unwrap();
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut events = reader.events();
    assert_eq!(next_offsets(&mut events, 3).await, offsets[..3]);
    assert_eq!(reader.commit(offsets[1]).await.unwrap(), offsets[1]);
    assert_eq!(
        reader.commit(offsets[0]).await.unwrap(),
        offsets[1],
        "never back"
    );
    drop(events);
    reader.close().await.unwrap();

    // As after a restart: what was read and not committed comes again.
    let again = client
        .reader("orders", "index", Start::Latest)
        .await
        .unwrap();
    let mut events = again.events();
    assert_eq!(next_offsets(&mut events, 2).await, offsets[2..]);
    again.commit(offsets[3]).await.unwrap();
    // The same reader may ask anew, too.
    drop(events);
    let mut events = again.events();
    let last = client.publish(message("n")).await.unwrap();
    assert_eq!(next(&mut events).await.offset(), last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_made_at_the_latest_reads_only_what_comes() {
    let db = TestDb::new().await;
    let client = client(&db);
    client.publish(message("before")).await.unwrap();
    let reader = client
        .reader("orders", "index", Start::Latest)
        .await
        .unwrap();
    client.publish(message("after")).await.unwrap();
    assert_eq!(next(&mut reader.events()).await.kind(), "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_joins_the_transaction_of_what_was_made_of_the_events() {
    let db = TestDb::new().await;
    let client = client(&db);
    db.run("CREATE TABLE public.found (\"offset\" bigint)")
        .await;
    let offset = client.publish(message("n")).await.unwrap();
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut events = reader.events();
    next(&mut events).await;
    let cursor = "SELECT cursor FROM vulkan.group_overview";
    for (commits, position) in [(false, 0), (true, offset)] {
        let mut tx = client.begin().await.unwrap();
        sqlx::query("INSERT INTO public.found VALUES ($1)")
            .bind(offset)
            .execute(&mut *tx)
            .await
            .unwrap();
        assert_eq!(reader.commit_in(&mut *tx, offset).await.unwrap(), offset);
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(db.value::<i64>(cursor).await, position);
        let found: i64 = db.value("SELECT count(*) FROM public.found").await;
        assert_eq!(found, i64::from(commits));
    }

    let mut tx = client.begin().await.unwrap();
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *tx)
        .await
        .unwrap();
    let error = reader.commit_in(&mut *tx, offset).await.unwrap_err();
    assert!(matches!(error, Error::Unsafe(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_active_reader_commits_and_only_what_is_there() {
    let db = TestDb::new().await;
    let client = client(&db);
    let offset = client.publish(message("n")).await.unwrap();
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let error = reader.commit(offset).await.unwrap_err();
    assert!(
        matches!(error, Error::Superseded(_)),
        "not active yet: {error:?}"
    );
    next(&mut reader.events()).await;
    let error = reader.commit(offset + 1_000).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    reader.commit(offset).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_wants_a_cursor_group_on_a_stream_that_is() {
    let db = TestDb::new().await;
    let client = client(&db);
    db.group("audit").await;
    let error = client
        .reader("nowhere", "index", Start::Earliest)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    let error = client
        .reader("orders", "No Name", Start::Earliest)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Name(_)), "{error:?}");
    let reader = client
        .reader("orders", "audit", Start::Earliest)
        .await
        .unwrap();
    let error = crate::client::support::end(&mut reader.events()).await;
    assert!(matches!(error, Some(Error::UnknownGroup(_))), "{error:?}");
}
