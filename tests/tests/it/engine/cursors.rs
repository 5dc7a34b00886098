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
