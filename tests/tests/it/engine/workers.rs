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

async fn code(db: &TestDb, sql: &'static str) -> String {
    let error = sqlx::query(sql).execute(&db.pool).await.unwrap_err();
    error
        .as_database_error()
        .unwrap()
        .code()
        .unwrap()
        .into_owned()
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
        assert_eq!(code(&db, nobody).await, "VK009", "{nobody}");
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

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_compared_by_their_numbers() {
    let db = TestDb::new().await;
    // In ascending order; those in one line are equal.
    let ranks = [
        vec!["", "abc", "a1.2", "-1"],
        vec!["0", "0.0", "v0"],
        vec!["1.4", "1.4.0", "v1.4", "1.4.0.0-rc1", "1.4+build.7"],
        vec!["1.4.2"],
        vec!["1.10"],
        vec!["2", "2.0.0"],
        vec!["20261121.1"],
    ];
    let mut last: Option<Vec<String>> = None;
    for rank in ranks {
        let mut keys: Vec<String> = Vec::new();
        for version in &rank {
            let key = sqlx::query_scalar("SELECT vulkan.version_key($1)::text")
                .bind(version)
                .fetch_one(&db.pool)
                .await
                .unwrap();
            keys.push(key);
        }
        assert!(
            keys.windows(2).all(|two| two[0] == two[1]),
            "{rank:?}: {keys:?}"
        );
        if let Some(last) = last {
            let above: bool = sqlx::query_scalar("SELECT $1::numeric[] > $2::numeric[]")
                .bind(&keys[0])
                .bind(&last[0])
                .fetch_one(&db.pool)
                .await
                .unwrap();
            assert!(above, "{keys:?} above {last:?}");
        }
        last = Some(keys);
    }
    assert_eq!(
        db.value::<String>("SELECT vulkan.version_key(NULL)::text")
            .await,
        "{}"
    );
}

/// Declares options for the group `audit`; whether they were applied, and what differs.
async fn declare(db: &TestDb, version: Option<&str>, options: Value) -> (bool, Value) {
    sqlx::query_as(
        "SELECT applied, differences FROM vulkan.declare_options('orders', 'audit', $2, $1)",
    )
    .bind(version)
    .bind(options)
    .fetch_one(&db.pool)
    .await
    .unwrap()
}

async fn lease(db: &TestDb) -> f64 {
    db.value("SELECT extract(epoch FROM lease)::float8 FROM vulkan.groups")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_options_of_the_higher_version_win() {
    let db = TestDb::new().await;
    db.group("audit").await;
    let nothing = json!({});
    let (old, new) = (
        json!({"lease": 10, "max_attempts": 3}),
        json!({"lease": "20 s"}),
    );
    assert_eq!(
        declare(&db, Some("1.9"), old.clone()).await,
        (true, nothing.clone())
    );
    assert_eq!(
        declare(&db, Some("1.10"), new.clone()).await,
        (true, nothing.clone())
    );
    assert_eq!(lease(&db).await, 20.0);
    // The old one starts over and over again.
    for _ in 0..2 {
        let differs = json!({"lease": {"declared": 10, "stands": 20}});
        assert_eq!(
            declare(&db, Some("1.9"), old.clone()).await,
            (false, differs)
        );
    }
    assert!(!declare(&db, None, json!({"lease": 5})).await.0);
    assert_eq!(
        declare(&db, Some("1.10.0"), new).await,
        (false, nothing.clone())
    );
    assert_eq!(lease(&db).await, 20.0);
    // Back to the release before, on purpose.
    db.run("SELECT vulkan.forget_declarations('orders', 'audit')")
        .await;
    assert_eq!(declare(&db, Some("1.9"), old).await, (true, nothing));
    assert_eq!(lease(&db).await, 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_version_the_later_new_declaration_wins() {
    let db = TestDb::new().await;
    db.group("audit").await;
    for version in [None, Some("2.0")] {
        let (first, second) = (json!({"lease": 10}), json!({"lease": 20}));
        assert!(declare(&db, version, first.clone()).await.0);
        assert!(declare(&db, version, second.clone()).await.0);
        // Started again, with what was known already.
        assert!(!declare(&db, version, first).await.0);
        assert!(!declare(&db, version, second).await.0);
        assert_eq!(lease(&db).await, 20.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_set_stays_until_a_program_says_something_new_of_it() {
    let db = TestDb::new().await;
    db.group("audit").await;
    declare(&db, Some("1.0"), json!({"lease": 10, "max_attempts": 3})).await;
    db.run("SELECT vulkan.alter_group('orders', 'audit', lease => '2 minutes')")
        .await;
    let differs = json!({"lease": {"declared": 10, "stands": 120}});
    // Neither a restart nor a release that declares the same, nor one that changes something else.
    for (version, attempts) in [("1.0", 3), ("1.1", 3), ("1.2", 4)] {
        let options = json!({"lease": 10, "max_attempts": attempts});
        assert_eq!(
            declare(&db, Some(version), options).await.1,
            differs,
            "{version}"
        );
    }
    let attempts: i32 = db.value("SELECT max_attempts FROM vulkan.groups").await;
    assert_eq!((lease(&db).await, attempts), (120.0, 4));
    assert_eq!(
        declare(&db, Some("1.3"), json!({"lease": 11, "max_attempts": 4})).await,
        (true, json!({}))
    );
    assert_eq!(lease(&db).await, 11.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_binds_is_declared_too() {
    let db = TestDb::new().await;
    db.group("audit").await;
    let rules = |kind: &str| json!({"rules": [{"kind": kind}]});
    assert!(declare(&db, Some("2"), rules("a")).await.0);
    let (applied, differs) = declare(&db, Some("1"), rules("b")).await;
    assert!(
        !applied && differs["rules"]["stands"] == json!([{"kind": "a"}]),
        "{differs}"
    );
    let bound: Value = db
        .value("SELECT vulkan.options_of(group_id) -> 'rules' FROM vulkan.groups")
        .await;
    assert_eq!(bound, json!([{"kind": "a"}]));
    assert_eq!(
        code(
            &db,
            "SELECT vulkan.declare_options('orders', 'audit', '{\"leese\": 3}')"
        )
        .await,
        "VK003"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_declared_too() {
    let db = TestDb::new().await;
    db.group("audit").await;
    let breaker = json!({"failure_percent": 40, "min_attempts": 10, "time_window": 60, "pause": 5, "max_pause": 50, "probes": 2});
    let limits =
        json!({"max_in_flight": 5, "rate": 2.5, "prefix_delimiter": "/", "breaker": breaker});
    assert_eq!(
        declare(&db, Some("2"), limits.clone()).await,
        (true, json!({}))
    );
    let less = json!({"max_in_flight": 1, "rate": 0, "breaker": 0});
    let (applied, differs) = declare(&db, Some("1"), less.clone()).await;
    assert!(!applied);
    assert_eq!(
        differs["max_in_flight"],
        json!({"declared": 1, "stands": 5})
    );
    assert_eq!(differs["rate"], json!({"declared": 0, "stands": 2.5}));
    assert_eq!(
        differs["breaker"],
        json!({"declared": 0, "stands": breaker})
    );
    assert_eq!(declare(&db, Some("3"), less).await, (true, json!({})));
    let limited: bool = db.value("SELECT breaker FROM vulkan.groups").await;
    assert!(!limited);
}
