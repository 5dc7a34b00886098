use tokio::task::JoinSet;

use crate::support::{Publish, TestDb, within};

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_schema_is_explained() {
    let db = TestDb::new().await;
    let bare: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.pronamespace = 'vulkan'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
         UNION ALL
         SELECT c.oid::regclass::text FROM pg_class c
         WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
           AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') IS NULL
           AND c.relname <> '_sqlx_migrations'
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')
         UNION ALL
         SELECT t.oid::regtype::text FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid
         WHERE t.typnamespace = 'vulkan'::regnamespace AND c.relkind = 'c'
           AND obj_description(t.oid, 'pg_type') IS NULL",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert!(bare.is_empty(), "without a COMMENT: {bare:?}");
}

const DEAD: &str = r#"
SELECT e.payload, d.attempts, d.last_error, d.updated_at
FROM vulkan.deliveries d JOIN vulkan.events e ON e."offset" = d.event_offset
WHERE d.consumer_group = 'fraud-screening' AND d.status = 'dead' ORDER BY d.updated_at DESC;
"#;

const BACKLOG: &str = r#"
SELECT e.partition_key, count(*) AS backlog
FROM vulkan.deliveries d JOIN vulkan.events e ON e."offset" = d.event_offset
WHERE d.status = 'ready' AND e.partition_key IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 10;
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_promised_queries_work_word_for_word() {
    let db = TestDb::new().await;
    let group = db.group("fraud-screening").await;
    let other = db.group("other").await;
    for nth in 0..3 {
        let event = Publish::new("n").payload(serde_json::json!({"nth": nth}));
        event.send(&db.pool).await;
        let message = group.claim_one().await;
        group.settle_one(&message, "dead").await;
    }
    let message = other.claim().await.remove(0);
    other.settle_one(&message, "dead").await;
    for key in ["a", "a", "b", "a"] {
        Publish::keyed(key).send(&db.pool).await;
    }

    type Dead = (serde_json::Value, i32, String);
    let dead: Vec<Dead> = sqlx::query_as(DEAD).fetch_all(&db.pool).await.unwrap();
    let expected = [2, 1, 0].map(|nth| {
        let error = format!("dead of {}", nth + 1);
        (serde_json::json!({"nth": nth}), 1, error)
    });
    assert_eq!(dead, expected);

    let backlog: Vec<(String, i64)> = sqlx::query_as(BACKLOG).fetch_all(&db.pool).await.unwrap();
    assert_eq!(backlog, [("a".into(), 6), ("b".into(), 2)]);
    // In lanes it is the same, with what is in flight left out.
    assert_eq!(group.claim().await.len(), 4);
    let backlog: Vec<(String, i64)> = sqlx::query_as(BACKLOG).fetch_all(&db.pool).await.unwrap();
    assert_eq!(backlog, [("a".into(), 3), ("b".into(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_for_dead_messages_looks_at_no_others() {
    let db = TestDb::new().await;
    db.group("fraud-screening").await;
    let explain = format!("EXPLAIN {DEAD}");
    let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .fetch_all(&db.pool)
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("exceptions"), "{plan}");
    assert_eq!(plan.matches(" on exceptions ").count(), 1, "{plan}");
    for table in ["claims", "lanes", "runs"] {
        assert!(!plan.contains(table), "{table} in:\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_may_run_anywhere_at_any_time() {
    let db = TestDb::new().await;
    db.run("SELECT vulkan.create_stream('narrow', 1)").await;
    for round in 1..=3_i64 {
        db.run("UPDATE vulkan.slots SET started_at = started_at - interval '1 hour'")
            .await;
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let pool = db.pool.clone();
            callers.spawn(async move {
                let sql = "SELECT slot_rolled FROM vulkan.maintain()";
                let rolled: Option<i64> = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
                Publish::new("n").to("narrow").send(&pool).await;
                rolled
            });
        }
        let rolled = within("maintain()", callers.join_all()).await;
        assert_eq!(rolled.into_iter().flatten().collect::<Vec<_>>(), [round]);
        let missing = "SELECT count(*) FROM vulkan.streams s, vulkan.partitions_missing(s.stream_id,
            (SELECT q.last_value / 1000000000 + m.slots_ahead FROM vulkan.offset_seq q, vulkan.meta m))";
        assert_eq!(db.value::<i64>(missing).await, 0);
    }
    let slots: Vec<i64> = db
        .value("SELECT array_agg(slot ORDER BY started_at) FROM vulkan.slots")
        .await;
    assert_eq!(slots, [0, 1, 2, 3]);
    let rolled: Option<i64> = db.value("SELECT slot_rolled FROM vulkan.maintain()").await;
    assert_eq!(rolled, None, "its time has not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_forgets_old_dedup_ids() {
    let db = TestDb::new().await;
    Publish::new("n").dedup("old").send(&db.pool).await;
    db.run("UPDATE vulkan.dedup SET expires_at = clock_timestamp()")
        .await;
    Publish::new("n").dedup("new").send(&db.pool).await;
    let expired: i32 = db
        .value("SELECT dedup_expired FROM vulkan.maintain()")
        .await;
    assert_eq!(expired, 1);
    let left: String = db
        .value("SELECT string_agg(dedup_id, ',') FROM vulkan.dedup")
        .await;
    assert_eq!(left, "new");
}

/// Publishers may enter the next slot by themselves while it is made ready; the sequence must not be
/// set back then, which would hand out offsets twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_roll_near_the_end_of_a_slot_leaves_the_next_one_out() {
    let db = TestDb::new().await;
    db.run("SELECT setval('vulkan.offset_seq', 899999999)")
        .await;
    assert_eq!(db.value::<i64>("SELECT vulkan.roll_slot()").await, 1);
    db.run("SELECT setval('vulkan.offset_seq', 1999999990)")
        .await;
    assert_eq!(db.value::<i64>("SELECT vulkan.roll_slot()").await, 3);
    Publish::new("n").send(&db.pool).await;
    db.check().await;
}
