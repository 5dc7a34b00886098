use std::time::Duration;

use vulkan::{Error, Message};

use crate::client::support::{client, message};
use crate::support::{TestDb, within};

fn once(id: &str) -> Message {
    message("n").dedup_id(id)
}

const HOUR: Duration = Duration::from_secs(3_600);

/// How many seconds each id is remembered.
async fn windows(db: &TestDb) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT d.dedup_id, round(extract(epoch FROM d.expires_at - e.created_at))::bigint
         FROM vulkan.dedup d JOIN vulkan.events e ON e.\"offset\" = d.\"offset\" ORDER BY 1",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_told_from_the_first() {
    let db = TestDb::new().await;
    let client = client(&db);
    let first = client.publish_once(once("a")).await.unwrap();
    let again = client.publish_once(once("a")).await.unwrap();
    let other = client.publish_once(once("b")).await.unwrap();
    assert_eq!(
        (first.duplicate, again.duplicate, other.duplicate),
        (false, true, false)
    );
    assert_eq!(first.offset, again.offset);
    assert!(other.offset > first.offset);
    // Without an id nothing is a duplicate.
    for _ in 0..2 {
        assert!(!client.publish_once(message("n")).await.unwrap().duplicate);
    }
    let mut tx = client.begin().await.unwrap();
    let inside = client.publish_once_in(&mut *tx, once("c")).await.unwrap();
    let twice = client.publish_once_in(&mut *tx, once("c")).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((inside.duplicate, twice.duplicate), (false, true));
    assert!(!client.publish_once(once("c")).await.unwrap().duplicate);
    let events: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
    assert_eq!(events, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_id_has_the_window_it_was_published_with() {
    let db = TestDb::new().await;
    let client = client(&db);
    let minute = Duration::from_secs(60);
    client
        .publish(once("a").dedup_window(minute))
        .await
        .unwrap();
    client
        .publish_once(once("b").dedup_window(24 * HOUR))
        .await
        .unwrap();
    client
        .publish_many([
            once("c").dedup_window(2 * HOUR),
            once("d"),
            message("n"),
            once("c").dedup_window(HOUR),
        ])
        .await
        .unwrap();
    let expected = [("a", 60), ("b", 86_400), ("c", 7_200), ("d", 3_600)];
    let expected = expected.map(|(id, seconds)| (id.to_owned(), seconds));
    assert_eq!(windows(&db).await, expected);
    // A duplicate leaves the window as it is.
    assert!(
        client
            .publish_once(once("a").dedup_window(HOUR))
            .await
            .unwrap()
            .duplicate
    );
    assert_eq!(windows(&db).await, expected);
    // Over, it is given anew.
    db.run("UPDATE vulkan.dedup SET expires_at = clock_timestamp()")
        .await;
    assert!(
        !client
            .publish_once(once("a").dedup_window(HOUR))
            .await
            .unwrap()
            .duplicate
    );
    assert_eq!(windows(&db).await[0], ("a".into(), 3_600));
}

/// While a duplicate is published, its id may run out and be swept: the answer is still the first offset.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_runs_out_meanwhile_is_not_lost() {
    let db = TestDb::new().await;
    let client = client(&db);
    let first = client.publish(once("a")).await.unwrap();
    let mut tx = client.begin().await.unwrap();
    let again = client.publish_once_in(&mut *tx, once("a")).await.unwrap();
    assert_eq!((again.offset, again.duplicate), (first, true));
    // The duplicate holds the row, so that nobody can take it away before it is answered.
    let swept: i32 = within(
        "a sweep that does not wait",
        db.value(
            "WITH old AS (SELECT ctid FROM vulkan.dedup FOR UPDATE SKIP LOCKED), gone AS (
                 DELETE FROM vulkan.dedup d USING old WHERE d.ctid = old.ctid RETURNING 1)
             SELECT count(*)::integer FROM gone",
        ),
    )
    .await;
    assert_eq!(swept, 0);
    tx.commit().await.unwrap();
    // Many at once, while ids run out and are swept all the time.
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6 {
        let (client, pool) = (client.clone(), db.pool.clone());
        tasks.spawn(async move {
            for _ in 0..150 {
                if task == 0 {
                    let sql = "UPDATE vulkan.dedup SET expires_at = clock_timestamp() WHERE dedup_id = 'a'";
                    sqlx::query(sql).execute(&pool).await.unwrap();
                    client.maintain().await.unwrap();
                } else {
                    client.publish(once("a")).await.unwrap();
                    client.publish_many([once("a"), once("b")]).await.unwrap();
                }
            }
        });
    }
    within("all of them", tasks.join_all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_or_window_that_cannot_be_is_refused() {
    let db = TestDb::new().await;
    let client = client(&db);
    let (longest, longer) = ("i".repeat(512), "i".repeat(513));
    client.publish(once(&longest)).await.unwrap();
    for bad in [
        once(&longer),
        once("a").dedup_window(Duration::ZERO),
        message("n").dedup_window(HOUR),
    ] {
        for error in [
            client.publish(bad.clone()).await.unwrap_err(),
            client.publish_once(bad.clone()).await.unwrap_err(),
            client
                .publish_many([message("n"), bad.clone()])
                .await
                .unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::Invalid(refusal) if refusal.hint.is_some()),
                "{error:?}"
            );
        }
    }
    // The database says the same to who comes without this client.
    for sql in [
        "SELECT vulkan.publish('orders', 'n', '1', dedup_id => repeat('i', 513))",
        "SELECT vulkan.publish('orders', 'n', '1', dedup_id => 'i', dedup_window => '0')",
        "SELECT vulkan.publish_once('orders', 'n', '1', repeat('é', 257))",
        "SELECT vulkan.publish_once('orders', 'n', '1', 'i', '-1 hour')",
        "SELECT vulkan.publish_many('orders', '{n,n}', '{1,1}', dedup_ids => ARRAY['i', repeat('i', 513)])",
        "SELECT vulkan.publish_many('orders', '{n,n}', '{1,1}', dedup_ids => '{i,j}', dedup_windows => '{1 hour,0}')",
        "SELECT vulkan.publish_many('orders', '{n,n}', '{1,1}', dedup_ids => '{i,j}', dedup_windows => '{1 hour}')",
    ] {
        let error = sqlx::query(sql).execute(&db.pool).await.expect_err(sql);
        let error = error.into_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some("VK003"), "{sql}: {error}");
    }
    let events: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
    assert_eq!(events, 1);
}
