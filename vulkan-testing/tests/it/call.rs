use std::time::Duration;

use vulkan::{Delivery, Event, HandlerError, State, Tx, handler};
use vulkan_testing::{Handled, TestApp, call, call_with};

use crate::support::{OrderPlaced, failure};

#[handler(
    stream = "orders",
    group = "many",
    kinds = "order.placed",
    retries = 2,
    timeout = "20ms"
)]
async fn many(order: OrderPlaced, cx: &Delivery) -> vulkan::Result {
    match order.id {
        0 => Err("again".into()),
        1 => Err(HandlerError::retry_in(Duration::from_secs(9), "in nine")),
        2 => Err(HandlerError::snooze(Duration::from_secs(5))),
        3 => Err(HandlerError::dead("for good")),
        4 => panic!("by mistake"),
        5 => std::future::pending().await,
        _ => {
            assert_eq!((cx.group(), cx.max_attempts()), ("many", 3));
            assert_eq!((cx.stream(), cx.kind()), ("orders", "order.placed"));
            Ok(())
        }
    }
}

#[handler(stream = "orders", group = "state")]
async fn add(order: OrderPlaced, sum: State<std::sync::Arc<std::sync::atomic::AtomicU64>>) {
    sum.fetch_add(order.id, std::sync::atomic::Ordering::SeqCst);
}

fn retry(after: Option<u64>, error: &str) -> Handled {
    Handled::Retry {
        after: after.map(Duration::from_secs),
        error: error.into(),
    }
}

#[tokio::test]
async fn it_says_what_becomes_of_the_message() {
    let expected = [
        retry(None, "again"),
        retry(Some(9), "in nine"),
        Handled::Snoozed {
            after: Duration::from_secs(5),
        },
        Handled::Dead {
            error: "for good".into(),
        },
        retry(None, "panicked: by mistake"),
        retry(None, "timed out after 20ms"),
        Handled::Done,
    ];
    for (id, expected) in (0..).zip(expected) {
        assert_eq!(call(many, &OrderPlaced { id }).await, expected, "{id}");
    }
}

#[tokio::test]
async fn the_last_attempt_is_dead_as_in_a_worker() {
    let last = Delivery::of(&OrderPlaced { id: 1 }).unwrap().attempt(3);
    let error = "in nine".to_owned();
    assert_eq!(call(many, last).await, Handled::Dead { error });
}

#[tokio::test]
async fn a_payload_that_does_not_decode_is_dead() {
    let wrong = Delivery::builder_json(&serde_json::json!({"id": "x"})).unwrap();
    let handled = call(many, wrong.build()).await;
    let error = handled.error().unwrap();
    assert!(matches!(handled, Handled::Dead { .. }));
    assert!(error.contains("at id: invalid type"), "{error}");
}

#[tokio::test]
async fn it_has_the_state_it_is_given() {
    let sum = std::sync::Arc::default();
    for id in 1..=3 {
        assert_eq!(
            call_with(add, &OrderPlaced { id }, &sum).await,
            Handled::Done
        );
    }
    assert_eq!(sum.load(std::sync::atomic::Ordering::SeqCst), 6);
}

#[tokio::test]
async fn an_event_that_it_never_gets_fails_the_test() {
    #[derive(serde::Serialize, Event)]
    #[event(stream = "orders", kind = "order.paid")]
    struct OrderPaid;

    let text = failure(call(many, &OrderPaid)).await;
    assert!(
        text.contains(
            r#"handler "many" takes ["order.placed"] of stream "orders", and is never called with kind "order.paid""#
        ),
        "{text}"
    );
    assert!(text.contains("call.rs"), "{text}");
}

#[handler(stream = "orders", group = "invoices")]
async fn invoice(order: OrderPlaced, mut tx: Tx) -> vulkan::Result {
    sqlx::query("INSERT INTO invoices VALUES ($1)")
        .bind(i64::try_from(order.id)?)
        .execute(&mut *tx)
        .await?;
    match order.id {
        0 => Err("no".into()),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_transaction_begins_on_the_apps_database_only() {
    let app = TestApp::new().await;
    sqlx::raw_sql("CREATE TABLE invoices (order_id bigint)")
        .execute(app.pool())
        .await
        .unwrap();
    let call_on_app = async |id| app.call(invoice, &OrderPlaced { id }, &()).await;
    assert_eq!(call_on_app(0).await, retry(None, "no"));
    assert_eq!(call_on_app(7).await, Handled::Done);
    let orders: Vec<i64> = sqlx::query_scalar("SELECT order_id FROM invoices")
        .fetch_all(app.pool())
        .await
        .unwrap();
    assert_eq!(orders, [7]);

    let alone = call(invoice, &OrderPlaced { id: 7 }).await;
    let error = alone.error().unwrap();
    assert!(error.contains("there is no database"), "{error}");
}
