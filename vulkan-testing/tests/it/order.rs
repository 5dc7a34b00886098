use std::time::Duration;

use vulkan::{Delivery, handler};
use vulkan_testing::TestApp;

use crate::support::{OrderPlaced, audit, failure, message};

/// Fails once for every third message.
#[handler(stream = "orders", group = "keyed", backoff = "10ms..10ms")]
async fn handle(_: OrderPlaced, cx: &Delivery) -> vulkan::Result {
    match cx.attempt() == 1 && cx.offset() % 3 == 0 {
        true => Err("once more".into()),
        false => Ok(()),
    }
}

#[tokio::test]
async fn runs_and_retries_are_in_order() {
    let app = TestApp::new().await;
    let orders = (0..60).map(|nth| message("order.placed").key(format!("key {}", nth % 4)));
    app.publish_many(orders.collect::<Vec<_>>()).await;
    let report = app.drain(app.worker().register(handle)).await;
    assert_eq!(report.done(), 60, "{report}");
    app.group("orders", "keyed").assert_order_per_key().await;
    // As the handler saw it: each key in order, a retry right after its first attempt.
    let begun = &report.groups[0].begun;
    assert_eq!(begun.len(), 80);
    for key in 0..4 {
        let of_key: Vec<_> = begun
            .iter()
            .filter(|offset| (*offset - 1) % 4 == key)
            .collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
    app.check().await;
}

#[tokio::test]
async fn without_keys_there_is_no_order_to_assert() {
    let app = TestApp::new().await;
    app.publish(&OrderPlaced { id: 1 }).await;
    app.drain(app.worker().register(audit)).await;
    let text = failure(app.group("orders", "audit").assert_order_per_key()).await;
    assert!(
        text.contains("expected messages with keys that were handled"),
        "{text}"
    );
}

#[tokio::test]
async fn a_later_message_that_began_too_early_is_named() {
    let app = TestApp::new().await;
    let first = app.publish(message("order.placed").key("ada")).await;
    app.drain(app.worker().register(audit)).await;
    let second = app.publish(message("order.placed").key("ada")).await;
    app.drain(app.worker().register(audit)).await;
    let group = app.group("orders", "audit");
    group.assert_order_per_key().await;

    // As if the first had ended later than that.
    sqlx::query("UPDATE vulkan.claims SET settled_at = settled_at + $1 WHERE hi >= $2 AND lo < $2")
        .bind(sqlx::postgres::types::PgInterval {
            microseconds: i64::try_from(Duration::from_secs(60).as_micros()).unwrap(),
            ..Default::default()
        })
        .bind(first)
        .execute(app.pool())
        .await
        .unwrap();
    let text = failure(group.assert_order_per_key()).await;
    let expected =
        format!("expected message {first} of key \"ada\" to be over before message {second} began");
    assert!(text.contains(&expected), "{text}");
}
