use serde_json::{Value, json};

use crate::support::{Publish, TestDb, offsets};

/// Text that does not compress, so that it is stored as long as it is.
fn incompressible(characters: usize) -> Value {
    let mut text = String::new();
    while text.len() < characters {
        text += &uuid::Uuid::new_v4().simple().to_string();
    }
    text.truncate(characters);
    json!(text)
}

/// Few events at the end of the log are claimed another way than a long stretch of it: unless one of them is special.
#[tokio::test(flavor = "multi_thread")]
async fn few_events_are_handed_out_whatever_is_among_them() {
    let long = incompressible(100_000);
    for special in [
        Publish::new("a").payload(json!({"n": 1})),
        Publish::new("a").payload(long.clone()),
        Publish::new("a").headers(json!({"h": incompressible(10_000)})),
        Publish::keyed("k"),
        Publish::new("a").delayed(-1.0),
    ] {
        let db = TestDb::new().await;
        let group = db.group("audit").await;
        let mut published = Vec::new();
        for one in [&Publish::new("a"), &special, &Publish::new("b")] {
            published.push(one.send(&db.pool).await);
        }
        let claimed = group.claim().await;
        assert_eq!(offsets(&claimed), published);
        let intact: bool = db
            .value("SELECT bool_and(d.status = 'processing') FROM vulkan.deliveries d")
            .await;
        assert!(intact);
        group.done(&claimed).await;
        assert_eq!(group.claim().await.len(), 0);
        db.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_cut_where_its_bytes_are_enough() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let mut published = Vec::new();
    for _ in 0..5 {
        let large = Publish::new("a").payload(incompressible(1_000_000));
        published.push(large.send(&db.pool).await);
    }
    let mut claimed = Vec::new();
    for expected in [2, 2, 1, 0] {
        let got: Vec<(i64, bool)> = sqlx::query_as(
            r#"SELECT m."offset", length(m.payload #>> '{}') = 1000000
               FROM vulkan.claim($1, 'w', max_bytes => 1500000) m"#,
        )
        .bind(group.id)
        .fetch_all(&db.pool)
        .await
        .unwrap();
        assert_eq!(got.len(), expected);
        assert!(got.iter().all(|(_, whole)| *whole));
        claimed.extend(got.iter().map(|(offset, _)| *offset));
    }
    assert_eq!(claimed, published);
    db.check().await;
}

/// A delayed one among few waits, and the others do not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_skipped_or_delayed_among_few_is_left_out() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let first = Publish::new("a").send(&db.pool).await;
    let late = Publish::new("a").delayed(3600.0).send(&db.pool).await;
    let skipped = Publish::new("a").send(&db.pool).await;
    let last = Publish::new("a").send(&db.pool).await;
    sqlx::query("SELECT vulkan.skip('orders', 'audit', $1)")
        .bind(skipped)
        .execute(&db.pool)
        .await
        .unwrap();
    let claimed = group.claim().await;
    assert_eq!(offsets(&claimed), [first, last]);
    group.done(&claimed).await;
    assert_eq!(group.claim().await.len(), 0);
    assert_eq!(group.status(late).await.unwrap().0, "ready");
    assert_eq!(group.status(skipped).await.unwrap().0, "done");
    db.check().await;
}

/// Nor does a group get what it does not bind.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_bound_among_few_is_passed_over() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    sqlx::query(r#"SELECT vulkan.set_binding('orders', 'audit', '[{"kind": "wanted"}]')"#)
        .execute(&db.pool)
        .await
        .unwrap();
    Publish::new("other").send(&db.pool).await;
    let wanted = Publish::new("wanted").send(&db.pool).await;
    let other = Publish::new("other").send(&db.pool).await;
    assert_eq!(offsets(&group.claim().await), [wanted]);
    assert_eq!(group.cursor().await, other);
    let another = Publish::new("other").send(&db.pool).await;
    assert_eq!(group.claim().await.len(), 0);
    assert_eq!(group.cursor().await, another);
    db.check().await;
}
