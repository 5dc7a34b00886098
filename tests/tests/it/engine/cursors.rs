use crate::support::{Publish, TestDb};

async fn cursor_group(db: &TestDb, events: usize) -> i32 {
    let id = db
        .value("SELECT vulkan.create_group('orders', 'index', 'cursor')")
        .await;
    for _ in 0..events {
        Publish::new("n").send(&db.pool).await;
    }
    id
}

async fn take(db: &TestDb, group: i32, reader: &str) -> (i64, i64) {
    sqlx::query_as("SELECT term, cursor FROM vulkan.take_cursor($1, $2)")
        .bind(group)
        .bind(reader)
        .fetch_one(&db.pool)
        .await
        .unwrap()
}

async fn commit(db: &TestDb, group: i32, term: i64, up_to: i64) {
    sqlx::query("SELECT vulkan.commit_cursor($1, $2, $3)")
        .bind(group)
        .bind(term)
        .bind(up_to)
        .execute(&db.pool)
        .await
        .unwrap();
}

/// A reader that takes over while the group is being set back begins where it was set to.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waited_for_a_replay_begins_at_its_position() {
    let db = TestDb::new().await;
    let group = cursor_group(&db, 9).await;
    let (term, beginning) = take(&db, group, "active").await;
    let newest: i64 = db.value(r#"SELECT max("offset") FROM vulkan.events"#).await;
    commit(&db, group, term, newest).await;
    db.run("UPDATE vulkan.readers SET lease_until = clock_timestamp()")
        .await;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.replay('orders', 'index', to_position => 'earliest')")
        .execute(&mut *open)
        .await
        .unwrap();
    let ((_, cursor), ()) = tokio::join!(take(&db, group, "standby"), async {
        db.until_blocked().await;
        open.commit().await.unwrap();
    });
    assert_eq!(cursor, beginning);
}

/// While an old snapshot is held, no version of a row can go: a commit must not leave one of a row
/// that all commits look up, nor look through those that are left.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_leaves_the_readers_row_alone_and_one_position() {
    let db = TestDb::new().await;
    let group = cursor_group(&db, 9).await;
    let (term, _) = take(&db, group, "active").await;
    let version = "SELECT ctid::text FROM vulkan.readers";
    let before: String = db.value(version).await;
    let offsets: Vec<i64> = sqlx::query_scalar(r#"SELECT "offset" FROM vulkan.events ORDER BY 1"#)
        .fetch_all(&db.pool)
        .await
        .unwrap();
    for offset in offsets {
        commit(&db, group, term, offset).await;
    }
    assert_eq!(db.value::<String>(version).await, before);
    let positions: i64 = db.value("SELECT count(*) FROM vulkan.claims").await;
    assert_eq!(positions, 1);

    db.run("UPDATE vulkan.readers SET lease_until = clock_timestamp() + interval '1 second'")
        .await;
    commit(&db, group, term, 1).await;
    let renewed =
        "SELECT lease_until > clock_timestamp() + interval '20 seconds' FROM vulkan.readers";
    assert!(db.value::<bool>(renewed).await);
}
