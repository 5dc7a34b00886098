use vulkan::{Error, Message};

use crate::client::support::{client, message, next};
use crate::support::TestDb;

async fn kinds(db: &TestDb) -> Vec<String> {
    db.value("SELECT coalesce(array_agg(kind ORDER BY \"offset\"), '{}') FROM vulkan.events")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_commits_with_the_write_it_tells_of() {
    let db = TestDb::new().await;
    let client = client(&db);
    db.run("CREATE TABLE public.orders (id int)").await;
    let mut tx = client.begin().await.unwrap();
    sqlx::query("INSERT INTO public.orders VALUES (1)")
        .execute(&mut *tx)
        .await
        .unwrap();
    let offset = client
        .publish_in(&mut *tx, message("placed"))
        .await
        .unwrap();
    let more = [message("paid"), message("packed")];
    let offsets = client.publish_many_in(&mut *tx, more).await.unwrap();
    assert!(offset < offsets[0] && offsets[0] < offsets[1]);
    assert!(kinds(&db).await.is_empty(), "nothing is committed yet");
    tx.commit().await.unwrap();
    assert_eq!(kinds(&db).await, ["placed", "paid", "packed"]);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM public.orders").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_vanishes_with_the_write_it_told_of() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut tx = client.begin().await.unwrap();
    client
        .publish_in(&mut *tx, message("gone").dedup_id("d"))
        .await
        .unwrap();
    client
        .publish_many_in(&mut *tx, [message("gone"), message("gone")])
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert!(kinds(&db).await.is_empty());
    // Nor is its dedup id remembered.
    client.publish(message("kept").dedup_id("d")).await.unwrap();
    assert_eq!(kinds(&db).await, ["kept"]);
    let mut events = client
        .read("orders", vulkan::Position::Earliest)
        .await
        .unwrap();
    assert_eq!(next(&mut events).await.kind(), "kept");
}

/// What can be refused without the database leaves the transaction as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_text_does_not_abort_the_transaction() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut tx = client.begin().await.unwrap();
    client
        .publish_in(&mut *tx, message("before"))
        .await
        .unwrap();
    let bad = Message::new("orders", "bad", "a\0b").unwrap();
    let error = client.publish_in(&mut *tx, bad.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    let batch = [message("good"), bad];
    let error = client.publish_many_in(&mut *tx, batch).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    client.publish_in(&mut *tx, message("after")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(kinds(&db).await, ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_database_aborts_the_transaction_and_nothing_else() {
    let db = TestDb::new().await;
    let client = client(&db);
    let mut tx = client.begin().await.unwrap();
    client.publish_in(&mut *tx, message("gone")).await.unwrap();
    let nowhere = Message::new("nowhere", "n", &1).unwrap();
    let error = client.publish_in(&mut *tx, nowhere).await.unwrap_err();
    assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    let error = client
        .publish_in(&mut *tx, message("gone"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    drop(tx);
    client.publish(message("kept")).await.unwrap();
    assert_eq!(kinds(&db).await, ["kept"]);
}
