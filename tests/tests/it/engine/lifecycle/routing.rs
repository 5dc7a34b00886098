use serde_json::{Value, json};

use crate::support::{Group, Publish, Settlement, TestDb, offsets};

async fn bind(group: &Group, rules: Value) -> bool {
    sqlx::query_scalar("SELECT vulkan.set_binding('orders', $1, $2)")
        .bind(&group.name)
        .bind(rules)
        .fetch_one(&group.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kind_patterns_match_whole_segments() {
    let db = TestDb::new().await;
    for (pattern, kind, matched) in [
        ("order.created", "order.created", true),
        ("order.created", "order-created", false),
        ("order.*", "order.created", true),
        ("order.*", "order", false),
        ("order.*", "order.created.eu", false),
        ("*.created", "order.created", true),
        ("order.*.created", "order.eu.created", true),
        ("order.*.created", "order.created", false),
        ("order.>", "order.created.eu", true),
        ("order.>", "order.created", true),
        ("order.>", "order", false),
        ("order.>", "orders.created", false),
        (">", "anything", true),
        ("*", "anything", true),
        ("*", "any.thing", false),
        ("Order", "order", false),
    ] {
        let found: bool = sqlx::query_scalar(
            "SELECT vulkan.matches($1, NULL, vulkan.compile_binding(1, 0,
                 jsonb_build_array(jsonb_build_object('kind', $2))))",
        )
        .bind(kind)
        .bind(pattern)
        .fetch_one(&db.pool)
        .await
        .unwrap();
        assert_eq!(found, matched, "{pattern} on {kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_what_any_of_its_rules_matches() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let eu = json!({"region": "eu"});
    let rules = json!([
        {"kind": "order.created"},
        {"kind": "refund.>", "headers": eu},
    ]);
    assert!(bind(&group, rules.clone()).await);
    assert!(!bind(&group, rules).await, "the same again changes nothing");
    let mut wanted = Vec::new();
    for (event, matched) in [
        (Publish::new("order.created"), true),
        (Publish::new("order.paid"), false),
        (Publish::new("refund.made"), false),
        (
            Publish::new("refund.made").headers(json!({"region": "us"})),
            false,
        ),
        (
            Publish::new("refund.made").headers(json!({"region": "eu", "v": 1})),
            true,
        ),
        (
            Publish::new("refund.made").headers(eu.clone()).key("k"),
            true,
        ),
        (Publish::new("order.paid").headers(eu).key("k"), false),
        (Publish::new("order.created").key("k"), true),
    ] {
        let offset = event.send(&db.pool).await;
        if matched {
            wanted.push(offset);
        }
    }
    let messages = group.claim().await;
    assert_eq!(offsets(&messages), wanted);
    group.done(&messages).await;
    let rows: Vec<i64> = db
        .value("SELECT array_agg(event_offset ORDER BY event_offset) FROM vulkan.deliveries WHERE status = 'done'")
        .await;
    assert_eq!(rows, wanted);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_match_is_passed_over_in_one_row() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    bind(&group, json!([{"kind": "rare"}])).await;
    for _ in 0..3 {
        for _ in 0..10 {
            Publish::new("common").send(&db.pool).await;
        }
        assert!(group.claim().await.is_empty());
    }
    let passed = "SELECT count(*) FROM vulkan.claims WHERE origin = 'pass'";
    assert_eq!(db.value::<i64>(passed).await, 1);
    let rare = Publish::new("rare").send(&db.pool).await;
    assert_eq!(group.claim_one().await.offset, rare);
    db.check().await;
}

/// A binding holds from the cursor on; a replay brings it to what lies before.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_binding_reaches_the_past_by_a_replay() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    bind(&group, json!([{"kind": "a"}])).await;
    let kinds = ["a", "b", "a", "b"];
    let mut sent = Vec::new();
    for kind in kinds {
        sent.push(Publish::new(kind).key("k").send(&db.pool).await);
    }
    let messages = group.claim().await;
    assert_eq!(offsets(&messages), [sent[0], sent[2]]);
    bind(&group, json!([{"kind": "b"}])).await;
    group.done(&messages).await;
    let after = Publish::new("b").send(&db.pool).await;
    Publish::new("a").send(&db.pool).await;
    let messages = group.claim().await;
    assert_eq!(offsets(&messages), [after]);
    group.done(&messages).await;
    db.check().await;

    db.run("SELECT vulkan.replay('orders', 'audit', to_position => 'earliest')")
        .await;
    assert_eq!(offsets(&group.claim().await), [sent[1], sent[3], after]);
    db.check().await;
}

/// A settlement that waits while the group is bound anew goes by the new rules.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_that_waited_for_a_new_binding_goes_by_it() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    Publish::new("n").key("k").send(&db.pool).await;
    let message = group.claim_one().await;
    let closing = Settlement::closing(std::slice::from_ref(&message));
    group.settle(&closing).await;
    Publish::new("other").key("k").send(&db.pool).await;
    let mut open = db.pool.begin().await.unwrap();
    sqlx::raw_sql(
        r#"SELECT vulkan.set_binding('orders', 'audit', '[{"kind": "n"}]');
           SELECT vulkan.claim(group_id, 'worker') FROM vulkan.groups"#,
    )
    .execute(&mut *open)
    .await
    .unwrap();
    let settlement = Settlement::default().item(&message, "done");
    let (verdicts, ()) = tokio::join!(group.settle(&settlement), async {
        db.until_blocked().await;
        open.commit().await.unwrap();
    });
    assert_eq!(verdicts, []);
    db.check().await;
    let drained = "SELECT vulkan.is_drained('orders', 'audit')";
    assert!(db.value::<bool>(drained).await);
}
