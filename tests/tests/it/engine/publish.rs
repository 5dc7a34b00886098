use serde_json::json;
use sqlx::Connection;
use sqlx::postgres::{PgDatabaseError, PgListener};

use crate::support::{Publish, TestDb, offsets, within};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_appended_and_read_back() {
    let db = TestDb::new().await;
    let sent = Publish::new("order.created")
        .payload(json!({"id": 7}))
        .key("a")
        .headers(json!({"traceparent": "00-1"}));
    let first = sent.send(&db.pool).await;
    let second = sent.send(&db.pool).await;
    assert!(first >= 1 && second > first, "{first} {second}");

    let read: Vec<(i64, String, String, String, String)> = sqlx::query_as(
        "SELECT \"offset\", kind, partition_key, payload::text, headers ->> 'traceparent'
         FROM vulkan.read_events(vulkan.stream_id('orders'), 0)",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let expected = |offset| {
        (
            offset,
            "order.created".to_owned(),
            "a".to_owned(),
            r#"{"id": 7}"#.to_owned(),
            "00-1".to_owned(),
        )
    };
    assert_eq!(read, [expected(first), expected(second)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gets_growing_offsets_in_array_order() {
    let db = TestDb::new().await;
    let drawn: Vec<i64> = sqlx::query_scalar(
        "SELECT vulkan.publish_many('orders', array_fill('n'::text, ARRAY[1000]),
             ARRAY(SELECT to_jsonb(n) FROM generate_series(1, 1000) n ORDER BY n))",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert!(drawn.is_sorted());
    let in_order: bool = db
        .value(
            "SELECT array_agg(payload::int ORDER BY \"offset\")
                 = ARRAY(SELECT generate_series(1, 1000)) FROM vulkan.events",
        )
        .await;
    assert!(in_order);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dedup_id_is_appended_once_within_its_window() {
    let db = TestDb::new().await;
    let sent = Publish::new("n").dedup("same");
    let first = sent.send(&db.pool).await;
    assert_eq!(sent.send(&db.pool).await, first);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        1
    );

    db.run("UPDATE vulkan.dedup SET expires_at = clock_timestamp()")
        .await;
    let again = sent.send(&db.pool).await;
    assert!(again > first);
    assert_eq!(sent.send(&db.pool).await, again);

    // The same id on another stream is another id.
    db.run("SELECT vulkan.create_stream('payments')").await;
    assert!(sent.to("payments").send(&db.pool).await > again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dedup_id_twice_in_one_batch_is_appended_once() {
    let db = TestDb::new().await;
    let known = Publish::new("n").dedup("known").send(&db.pool).await;
    let drawn: Vec<i64> = sqlx::query_scalar(
        "SELECT vulkan.publish_many('orders', '{n,n,n,n,n,n}', '{0,1,2,3,4,5}',
             dedup_ids => '{b,a,b,known,NULL,a}')",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let [b, a, b_again, known_again, plain, a_again] = drawn[..] else {
        panic!("{drawn:?}");
    };
    assert_eq!((b, a, known), (b_again, a_again, known_again));
    assert!(known < b && b < a && a < plain);
    let payloads: Vec<i32> = db
        .value("SELECT array_agg(payload::int ORDER BY \"offset\") FROM vulkan.events WHERE payload <> '{}'")
        .await;
    assert_eq!(payloads, [0, 1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_publishers_of_one_dedup_id_append_once_and_agree() {
    let db = TestDb::new().await;
    let sent = Publish::new("n").dedup("same");
    let mut one = db.connect().await;
    for (commits, appended) in [(true, 1), (false, 2)] {
        let sent = sent.clone().dedup(&format!("same {appended}"));
        let mut open = one.begin().await.unwrap();
        let first = sent.send(&mut *open).await;
        let waiting = tokio::spawn({
            let (sent, pool) = (sent.clone(), db.pool.clone());
            async move { sent.send(&pool).await }
        });
        within("the second publisher to wait for the first", async {
            while db
                .value::<i64>("SELECT count(*) FROM pg_locks WHERE NOT granted")
                .await
                == 0
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        if commits {
            open.commit().await.unwrap();
        } else {
            open.rollback().await.unwrap();
        }
        let second = within("the second publisher", waiting).await.unwrap();
        assert_eq!(second == first, commits);
        let count: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
        assert_eq!(count, appended);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_publish_is_seen_by_nobody() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let kept = Publish::new("kept");
    let mut open = db.pool.begin().await.unwrap();
    Publish::new("gone").dedup("d").send(&mut *open).await;
    Publish::keyed("k").send(&mut *open).await;
    open.rollback().await.unwrap();

    let mut open = db.pool.begin().await.unwrap();
    let first = kept.send(&mut *open).await;
    let mut savepoint = open.begin().await.unwrap();
    Publish::new("gone").send(&mut *savepoint).await;
    savepoint.rollback().await.unwrap();
    let second = kept.send(&mut *open).await;
    assert!(group.claim().await.is_empty(), "nothing is committed yet");
    open.commit().await.unwrap();

    assert_eq!(offsets(&group.claim().await), [first, second]);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.dedup").await,
        0
    );
    db.check().await;
}

/// The floor that a savepoint took goes with it, and the next publish must announce again.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_rolled_back_savepoint_the_publisher_still_holds_the_horizon() {
    let db = TestDb::new().await;
    let mut open = db.pool.begin().await.unwrap();
    let mut savepoint = open.begin().await.unwrap();
    Publish::new("gone").send(&mut *savepoint).await;
    savepoint.rollback().await.unwrap();
    let late = Publish::new("late").send(&mut *open).await;
    let early_commit = Publish::new("early").send(&db.pool).await;
    assert!(late < early_commit);
    assert!(db.value::<i64>("SELECT vulkan.lso('orders')").await < late);
    open.commit().await.unwrap();
    let top: i64 = db.value("SELECT vulkan.lso('orders')").await;
    assert!(top >= early_commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_batch_is_not_passed_by() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let mut open = db.pool.begin().await.unwrap();
    let late: Vec<i64> = sqlx::query_scalar(
        "SELECT vulkan.publish_many('orders', '{a,b}', ARRAY['1', '2']::jsonb[])",
    )
    .fetch_all(&mut *open)
    .await
    .unwrap();
    let behind = Publish::new("behind").send(&db.pool).await;
    assert!(group.claim().await.is_empty());
    open.commit().await.unwrap();
    let seen: Vec<i64> = group.claim().await.iter().map(|m| m.offset).collect();
    assert_eq!(seen, [late[0], late[1], behind]);
}

/// A setting is anybody's: what it says of the floor is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_floor_that_somebody_set_hides_no_publisher() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    for floor in ["x", "999999999999999999", "99999999999999999999", "-1", "0"] {
        let mut open = db.connect().await;
        sqlx::query("SELECT set_config('vulkan.floor_1', $1, false)")
            .bind(floor)
            .execute(&mut open)
            .await
            .unwrap();
        let mut open = open.begin().await.unwrap();
        let late = Publish::new("late").send(&mut *open).await;
        let later = Publish::new("later").send(&mut *open).await;
        let behind = Publish::new("behind").send(&db.pool).await;
        assert!(group.claim().await.is_empty(), "{floor}");
        open.commit().await.unwrap();
        let claimed = group.claim().await;
        let seen: Vec<i64> = claimed.iter().map(|m| m.offset).collect();
        assert_eq!(seen, [late, later, behind], "{floor}");
        group.done(&claimed).await;
    }
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_due_is_refused_on_every_way() {
    let db = TestDb::new().await;
    for sql in [
        "SELECT vulkan.publish('orders', 'n', '1', deliver_at => 'infinity')",
        "SELECT vulkan.publish('orders', 'n', '1', deliver_at => '-infinity')",
        "SELECT vulkan.publish('orders', 'n', '1', deliver_at => '10000-01-01')",
        "SELECT vulkan.publish('orders', 'n', '1', deliver_at => 'infinity', dedup_id => 'a')",
        "SELECT vulkan.publish_many('orders', '{n}', ARRAY['1'::jsonb], deliver_ats => '{infinity}')",
        "SELECT vulkan.publish_many('orders', '{n}', ARRAY['1'::jsonb], deliver_ats => '{infinity}', dedup_ids => '{a}')",
        "INSERT INTO vulkan.events_1 (kind, payload, deliver_at) VALUES ('n', '1', 'infinity')",
    ] {
        assert_eq!(db.code(sql).await, "VK003", "{sql}");
    }
    db.run("SELECT vulkan.publish('orders', 'n', '1', deliver_at => '9999-12-31Z')")
        .await;
    let group = db.group("audit").await;
    assert!(group.claim().await.is_empty());
    // One that is there all the same keeps nobody from looking.
    db.run("UPDATE vulkan.exceptions SET run_at = 'infinity'")
        .await;
    let looks = db.client().await.look(&[group.id]).await.unwrap();
    assert!(!looks[0].due && looks[0].next_in.is_none(), "{looks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_and_kinds_are_refused_with_a_code_and_a_hint() {
    let db = TestDb::new().await;
    for (sql, code) in [
        ("SELECT vulkan.publish('nowhere', 'n', '{}')", "VK001"),
        (
            "SELECT vulkan.publish_many('nowhere', '{n}', '{1}')",
            "VK001",
        ),
        ("SELECT vulkan.publish('orders', '', '{}')", "VK003"),
        ("SELECT vulkan.publish('orders', NULL, '{}')", "VK003"),
        ("SELECT vulkan.publish('orders', 'a..b', '{}')", "VK003"),
        ("SELECT vulkan.publish('orders', E'a\\nb', '{}')", "VK003"),
        ("SELECT vulkan.publish('orders', E'a\\n', '{}')", "VK003"),
        (
            "SELECT vulkan.publish('orders', repeat('a', 257), '{}')",
            "VK003",
        ),
        (
            "SELECT vulkan.publish_many('orders', '{ok,b.}', '{1,2}')",
            "VK003",
        ),
        (
            "SELECT vulkan.publish_many('orders', '{ok}', '{1,2}')",
            "VK003",
        ),
        (
            "SELECT vulkan.publish_many('orders', '{n}', '{1}', dedup_ids => '{a,b}')",
            "VK003",
        ),
        ("SELECT vulkan.create_stream('Orders')", "VK003"),
        ("SELECT vulkan.create_stream('a''b')", "VK003"),
        ("SELECT vulkan.create_group('orders', 'no spaces')", "VK003"),
        (
            "SELECT vulkan.create_group('orders', 'g', rules => '[]')",
            "VK003",
        ),
        (
            "SELECT vulkan.create_group('orders', 'g', rules => '[{\"kind\": \"a.>.b\"}]')",
            "VK003",
        ),
        (
            "SELECT vulkan.create_group('orders', 'g', rules => '{}')",
            "VK003",
        ),
        (
            "SELECT vulkan.create_group('orders', 'g', rules => NULL)",
            "VK003",
        ),
        ("SELECT vulkan.group_id('orders', 'nobody')", "VK002"),
        ("SELECT vulkan.claim(0, 'w')", "VK002"),
        ("SELECT vulkan.settle(0)", "VK002"),
    ] {
        let error = sqlx::query(sql).execute(&db.pool).await.expect_err(sql);
        let error = error.into_database_error().expect(sql);
        assert_eq!(error.code().as_deref(), Some(code), "{sql}: {error}");
        let error = error.downcast::<PgDatabaseError>();
        assert!(error.hint().is_some(), "{sql}");
    }
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.groups").await,
        0
    );
}

/// Who sleeps on the stream is woken, whichever way an event comes.
#[tokio::test]
async fn every_way_to_publish_rings() {
    let db = TestDb::new().await;
    let mut sleeper = PgListener::connect_with(&db.pool).await.unwrap();
    sleeper.listen("vulkan").await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(1459617794, 1)")
        .execute(&mut sleeper)
        .await
        .unwrap();
    for publish in [
        "SELECT vulkan.publish('orders', 'n', '{}')",
        "SELECT vulkan.publish('orders', 'n', '{}', dedup_id => 'one')",
        "SELECT vulkan.publish_once('orders', 'n', '{}', 'two')",
        "SELECT vulkan.publish_many('orders', '{n, n}', '{1, 2}')",
        "SELECT vulkan.publish_many('orders', '{n}', '{1}', dedup_ids => '{three}')",
        "INSERT INTO vulkan.events_1 (kind, payload) VALUES ('n', '{}')",
    ] {
        db.run(publish).await;
        let rung = within(publish, sleeper.recv()).await.unwrap();
        assert_eq!(rung.payload(), "1");
    }
}
