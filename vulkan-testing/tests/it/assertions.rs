use vulkan::{HandlerError, handler};
use vulkan_testing::TestApp;

use crate::support::{OrderPlaced, audit, failure, message, without_place};

#[handler(stream = "orders", group = "billing")]
async fn bill(order: OrderPlaced) -> vulkan::Result {
    match order.id {
        7 => Err(HandlerError::dead("no credit\nat all")),
        _ => Ok(()),
    }
}

async fn billed() -> TestApp {
    let app = TestApp::new().await;
    app.publish(&OrderPlaced { id: 1 }).await;
    app.publish(&OrderPlaced { id: 7 }).await;
    app.drain(app.worker().register(bill)).await;
    app
}

#[tokio::test]
async fn counts_of_a_group() {
    let app = billed().await;
    let billing = app.group("orders", "billing");
    billing.assert_done(1).await;
    billing.assert_dead(1).await;
    billing.assert_ready(0).await;
    billing.assert_processing(0).await;
    billing.assert_dead_with(2, "no credit").await;
    billing.assert_attempts(2, 1).await;

    let table = r#"
  offset  kind          key  status  attempts
       1  order.placed  -    done    1 of 6
       2  order.placed  -    dead    1 of 6    no credit
"#;
    let group = r#"group "billing" of stream "orders""#;
    for (text, expected) in [
        (
            failure(billing.assert_done(2)).await,
            "expected 2 messages to be done, found 1",
        ),
        (
            failure(billing.assert_ready(1)).await,
            "expected 1 messages to be ready, found 0",
        ),
        (
            failure(billing.assert_all_done()).await,
            "expected every message to be done",
        ),
        (
            failure(billing.message(3)).await,
            "event 3 is no message of the group",
        ),
    ] {
        let text = without_place(&text, "assertions.rs");
        assert_eq!(text, format!("{group}: {expected}{table}"));
    }
    for text in [
        failure(billing.assert_dead_with(1, "no credit")).await,
        failure(billing.assert_dead_with(2, "no money")).await,
        failure(billing.assert_attempts(2, 2)).await,
    ] {
        assert!(text.starts_with(group), "{text}");
    }
}

#[tokio::test]
async fn a_group_that_nobody_made() {
    let app = TestApp::new().await;
    app.publish(&OrderPlaced { id: 1 }).await;
    let text = failure(app.group("orders", "nobody").assert_done(0)).await;
    assert!(
        text.starts_with(r#"there is no group "nobody" of stream "orders""#),
        "{text}"
    );
    assert!(!app.group("orders", "nobody").is_done(1).await);
}

#[tokio::test]
async fn what_was_published() {
    let app = TestApp::new().await;
    app.publish(&OrderPlaced { id: 1 }).await;
    app.assert_nothing_else_published().await;
    let client = app.client();
    client.publish(&OrderPlaced { id: 2 }).await.unwrap();
    client
        .publish(message("order.paid").key("ada").header("region", "eu"))
        .await
        .unwrap();

    let text = failure(app.assert_nothing_else_published()).await;
    assert_eq!(
        without_place(&text, "assertions.rs"),
        r#"expected nothing else to be published
  2 order.placed in "orders": {"id":2}
  3 order.paid in "orders", key "ada", headers {"region":"eu"}: {"id":1}"#
    );

    let orders = app.published::<OrderPlaced>().assert_count(2).await;
    assert_eq!(orders, [1, 2].map(|id| OrderPlaced { id }));
    let second = app
        .published::<OrderPlaced>()
        .matching(|order| order.id == 2);
    assert_eq!(second.assert_some().await.len(), 1);
    let text = failure(
        app.published::<OrderPlaced>()
            .matching(|order| order.id == 9)
            .assert_some(),
    )
    .await;
    assert!(
        text.starts_with(
            r#"expected a published event of stream "orders", kind "order.placed", with a payload that fits, found none"#
        ),
        "{text}"
    );
    assert!(text.contains("\n  3 order.paid in"), "{text}");
    assert!(text.contains("assertions.rs"), "{text}");

    let any = || app.published_to::<serde_json::Value>("orders");
    any()
        .key("ada")
        .header("region", "eu")
        .assert_count(1)
        .await;
    any().key("ada").header("region", "us").assert_none().await;
    any().kind("order.paid").key("bob").assert_none().await;
    app.assert_nothing_else_published().await;
}

#[tokio::test]
async fn what_is_not_committed_is_not_published() {
    let app = TestApp::new().await;
    app.client().create_stream("orders").await.unwrap();
    let mut tx = app.client().begin().await.unwrap();
    let order = OrderPlaced { id: 1 };
    app.client().publish_in(&mut *tx, &order).await.unwrap();
    app.published::<OrderPlaced>().assert_none().await;
    tx.rollback().await.unwrap();
    app.assert_nothing_else_published().await;
}

#[tokio::test]
async fn an_unsound_database_is_told() {
    let app = billed().await;
    app.check().await;
    sqlx::query("UPDATE vulkan.exceptions SET attempts = 9")
        .execute(app.pool())
        .await
        .unwrap();
    let text = failure(app.check()).await;
    assert!(text.contains("invariant 4"), "{text}");
    assert!(text.contains("after 9 of 6 attempts"), "{text}");
}

#[tokio::test]
async fn every_message_done() {
    let app = TestApp::new().await;
    app.publish(&OrderPlaced { id: 1 }).await;
    app.drain(app.worker().register(audit)).await;
    app.group("orders", "audit").assert_all_done().await;
}
