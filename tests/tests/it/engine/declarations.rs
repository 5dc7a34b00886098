use serde_json::{Value, json};

use crate::support::TestDb;

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
        db.code("SELECT vulkan.declare_options('orders', 'audit', '{\"leese\": 3}')")
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
