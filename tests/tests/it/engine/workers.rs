use serde_json::{Value, json};

use crate::support::TestDb;

/// A sign of life of a worker that serves some groups; whether it is asked to drain.
async fn beat(db: &TestDb, name: &str, instance: &str, version: Option<&str>) -> Beat {
    sqlx::query_as(
        "SELECT drain, coalesce(other_versions, '{}') AS other_versions
         FROM vulkan.worker_beat($1, $2, version => $3, slots => 4, group_ids => ARRAY(SELECT group_id FROM vulkan.groups))",
    )
    .bind(name)
    .bind(instance)
    .bind(version)
    .fetch_one(&db.pool)
    .await
    .unwrap()
}

#[derive(sqlx::FromRow)]
struct Beat {
    drain: bool,
    other_versions: Vec<String>,
}

async fn names(db: &TestDb) -> String {
    db.value("SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM vulkan.workers")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_a_row_that_goes_by_itself() {
    let db = TestDb::new().await;
    db.group("audit").await;
    beat(&db, "a", "1", None).await;
    beat(&db, "b", "1", None).await;
    beat(&db, "a", "1", None).await;
    assert_eq!(names(&db).await, "a b");
    // Not by a process that came before it.
    db.run("SELECT vulkan.worker_gone('a', '0')").await;
    assert_eq!(names(&db).await, "a b");
    db.run("SELECT vulkan.worker_gone('a', '1')").await;
    assert_eq!(names(&db).await, "b");
    let silence = "UPDATE vulkan.workers SET seen_at = clock_timestamp() - interval '61 seconds' WHERE name = 'b'";
    for by in [
        "SELECT vulkan.maintain()",
        "SELECT vulkan.worker_beat('c', '1')",
    ] {
        beat(&db, "b", "1", None).await;
        db.run(silence).await;
        sqlx::query(by).execute(&db.pool).await.unwrap();
        assert!(!names(&db).await.contains('b'), "{by}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_for_one_process_and_no_other() {
    let db = TestDb::new().await;
    db.group("audit").await;
    assert!(!beat(&db, "a", "1", Some("1.4")).await.drain);
    beat(&db, "b", "1", Some("1.5")).await;
    beat(&db, "c", "1", None).await;
    db.run("SELECT vulkan.drain_worker('a')").await;
    assert!(beat(&db, "a", "1", Some("1.4")).await.drain);
    assert!(!beat(&db, "b", "1", Some("1.5")).await.drain);
    // The next process of that name starts afresh.
    assert!(!beat(&db, "a", "2", Some("1.4")).await.drain);
    assert!(!beat(&db, "a", "2", Some("1.4")).await.drain);
    assert_eq!(
        db.value::<i32>("SELECT vulkan.drain_workers('1.5')").await,
        1
    );
    assert_eq!(
        db.value::<i32>("SELECT vulkan.drain_workers(NULL)").await,
        1
    );
    let drained: String = db
        .value("SELECT string_agg(name, ' ' ORDER BY name) FROM vulkan.workers WHERE drain_requested_at IS NOT NULL")
        .await;
    assert_eq!(drained, "b c");
    for nobody in [
        "SELECT vulkan.drain_worker('z')",
        "SELECT vulkan.drain_workers('9.9')",
    ] {
        assert_eq!(db.code(nobody).await, "VK009", "{nobody}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_and_comes_back_finds_that_it_is_to_drain() {
    let db = TestDb::new().await;
    db.group("audit").await;
    beat(&db, "hangs", "1", Some("1.4")).await;
    db.run("SELECT vulkan.drain_worker('hangs')").await;
    db.run("UPDATE vulkan.workers SET seen_at = clock_timestamp() - interval '2 minutes'")
        .await;
    // Others do not reckon with it any more.
    assert!(
        beat(&db, "b", "1", Some("1.5"))
            .await
            .other_versions
            .is_empty()
    );
    assert_eq!(names(&db).await, "b hangs");
    assert!(beat(&db, "hangs", "1", Some("1.4")).await.drain);
    // In the end it is forgotten.
    db.run("UPDATE vulkan.workers SET seen_at = clock_timestamp() - interval '2 hours', drain_requested_at = drain_requested_at - interval '1 hour'")
        .await;
    beat(&db, "c", "1", None).await;
    assert_eq!(names(&db).await, "c");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_taken_elsewhere_by_who_lives_and_has_a_handler() {
    let db = TestDb::new().await;
    db.group("audit").await;
    let taken = async |kind: &str| -> bool {
        sqlx::query_scalar(
            "SELECT vulkan.taken_elsewhere(vulkan.group_id('orders', 'audit'), 'me', $1)",
        )
        .bind(kind)
        .fetch_one(&db.pool)
        .await
        .unwrap()
    };
    let serve = async |name: &str, handlers: Value| {
        // As another process of the name, so that all of it is written.
        let sql = "SELECT FROM vulkan.worker_beat($1, gen_random_uuid()::text, group_ids => ARRAY(SELECT group_id FROM vulkan.groups), handlers => $2)";
        let beat = sqlx::query(sql).bind(name).bind(handlers);
        beat.execute(&db.pool).await.map(|_| ())
    };
    assert!(!taken("a.b").await);
    let handler =
        |group: &str, kinds: Value| json!([{"stream": "orders", "group": group, "kinds": kinds}]);
    serve("me", handler("audit", json!(["a.b"]))).await.unwrap();
    serve("other", handler("audits", json!(["a.b"])))
        .await
        .unwrap();
    assert!(!taken("a.b").await, "its own, or another group's");
    serve("other", handler("audit", json!(["x", "a.*"])))
        .await
        .unwrap();
    assert!(taken("a.b").await);
    assert!(!taken("a.b.c").await && !taken("a").await);
    serve("other", handler("audit", json!([]))).await.unwrap();
    assert!(taken("a.b.c").await);
    db.run("SELECT vulkan.drain_worker('other')").await;
    assert!(!taken("a.b.c").await, "it is to end");
    serve("other", handler("audit", json!(["a.b"])))
        .await
        .unwrap();
    db.run("UPDATE vulkan.workers SET seen_at = clock_timestamp() - interval '61 seconds' WHERE name = 'other'")
        .await;
    assert!(!taken("a.b").await, "it is dead");
    // Who says what the group binds is about to start.
    db.run(
        "SELECT vulkan.declare_options('orders', 'audit', '{\"max_attempts\": 3}', '1.0', 'me')",
    )
    .await;
    assert!(!taken("a.b").await);
    db.run(
        "SELECT vulkan.declare_options('orders', 'audit', '{\"max_attempts\": 4}', '1.1', 'other')",
    )
    .await;
    assert!(taken("a.b").await);
    db.run("UPDATE vulkan.declarations SET declared_at = declared_at - interval '1 minute'")
        .await;
    assert!(!taken("a.b").await);
    // A pattern that nobody can read would be in everybody's way.
    let error = serve("bad", handler("audit", json!(["a.>.b"])))
        .await
        .unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "VK003");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_hears_of_other_versions_in_its_groups() {
    let db = TestDb::new().await;
    db.group("audit").await;
    assert!(
        beat(&db, "a", "1", Some("1.4"))
            .await
            .other_versions
            .is_empty()
    );
    assert!(
        beat(&db, "b", "1", Some("1.4"))
            .await
            .other_versions
            .is_empty()
    );
    assert_eq!(
        beat(&db, "c", "1", Some("1.5")).await.other_versions,
        ["1.4"]
    );
    assert_eq!(
        beat(&db, "a", "1", Some("1.4")).await.other_versions,
        ["1.5"]
    );
    let row: (i64, i64, Vec<String>, bool) =
        sqlx::query_as("SELECT workers, slots, versions, mixed FROM vulkan.group_workers")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    assert_eq!(row, (3, 12, vec!["1.4".into(), "1.5".into()], true));
    // In other groups they are nobody's business.
    db.run("UPDATE vulkan.workers SET group_ids = '{77}' WHERE name = 'c'")
        .await;
    assert!(
        beat(&db, "a", "1", Some("1.4"))
            .await
            .other_versions
            .is_empty()
    );
}
