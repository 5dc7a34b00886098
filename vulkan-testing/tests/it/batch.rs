use vulkan::{Delivery, HandlerError, Received, Tx, handler};
use vulkan_testing::{Handled, TestApp, call_batch};

use crate::support::OrderPlaced;

#[handler(stream = "orders", group = "load", batch = 10, retries = 1)]
async fn load(orders: Vec<Received<OrderPlaced>>, mut tx: Tx) -> vulkan::Result {
    for order in &orders {
        match order.id {
            0 => order.fail(HandlerError::dead("a bad order")),
            1 => order.fail("again"),
            9 => return Err("all of it".into()),
            _ => {
                sqlx::query("INSERT INTO loaded VALUES ($1)")
                    .bind(i64::try_from(order.id)?)
                    .execute(&mut *tx)
                    .await?;
            }
        }
    }
    Ok(())
}

async fn app() -> TestApp {
    let app = TestApp::new().await;
    sqlx::raw_sql("CREATE TABLE loaded (order_id bigint)")
        .execute(app.pool())
        .await
        .unwrap();
    app
}

async fn loaded(app: &TestApp) -> Vec<i64> {
    sqlx::query_scalar("SELECT order_id FROM loaded ORDER BY order_id")
        .fetch_all(app.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn each_message_has_its_own_fate() {
    let app = app().await;
    let orders = [2, 0, 1, 3].map(|id| OrderPlaced { id });
    let handled = app.call_batch(load, &orders, &()).await;
    let retry = |error: &str| Handled::Retry {
        after: None,
        error: error.into(),
    };
    let dead = |error: &str| Handled::Dead {
        error: error.into(),
    };
    let expected = [
        Handled::Done,
        dead("a bad order"),
        retry("again"),
        Handled::Done,
    ];
    assert_eq!(handled, expected);
    assert_eq!(loaded(&app).await, [2, 3]);

    let orders = [4, 9].map(|id| OrderPlaced { id });
    let handled = app.call_batch(load, &orders, &()).await;
    assert_eq!(handled, [retry("all of it"), retry("all of it")]);
    let last = Delivery::of(&OrderPlaced { id: 1 }).unwrap().attempt(2);
    assert_eq!(app.call_batch(load, [last], &()).await, [dead("again")]);
    assert_eq!(loaded(&app).await, [2, 3]);
}

#[tokio::test]
async fn a_batch_is_drained_as_a_worker_does() {
    let app = app().await;
    app.publish_many(&[0, 1, 2, 3].map(|id| OrderPlaced { id }))
        .await;
    let report = app.drain(app.worker().register(load)).await;
    assert_eq!((report.done(), report.failed(), report.dead()), (2, 1, 1));
    assert_eq!(loaded(&app).await, [2, 3]);
    app.all_due().await;
    assert_eq!(app.drain(app.worker().register(load)).await.dead(), 1);
    app.check().await;
}

#[tokio::test]
async fn without_a_database_there_is_no_transaction() {
    let orders = [2].map(|id| OrderPlaced { id });
    let handled = call_batch(load, &orders, &()).await;
    let error = handled[0].error().unwrap();
    assert!(error.contains("there is no database"), "{error}");
}
