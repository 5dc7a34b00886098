use std::time::Duration;

use vulkan::{Client, Delivery, DryRun, Event, HandlerError, State, Tx, WorkerEvent, handler};
use vulkan_testing::{Running, TestApp, until};

use crate::support::{OrderPlaced, audit, failure, message};

#[derive(serde::Serialize, serde::Deserialize, Event)]
#[event(stream = "invoices", kind = "invoice.sent")]
struct InvoiceSent {
    order: u64,
}

#[handler(stream = "orders", group = "billing")]
async fn bill(order: OrderPlaced, client: State<Client>) -> vulkan::Result {
    client.publish(&InvoiceSent { order: order.id }).await?;
    Ok(())
}

#[handler(stream = "invoices", group = "mail")]
async fn send(invoice: InvoiceSent, client: State<Client>) -> vulkan::Result {
    if invoice.order < 5 {
        let next = invoice.order + 1;
        client.publish(&OrderPlaced { id: next }).await?;
    }
    Ok(())
}

/// Fails as long as the message says so.
#[handler(stream = "orders", group = "flaky", backoff = "1h..1h", retries = 2)]
async fn fail(order: OrderPlaced, cx: &Delivery) -> vulkan::Result {
    match (order.id, cx.attempt()) {
        (0, _) => Err(HandlerError::dead("a bad order")),
        (1, 1) => Err("no answer".into()),
        (2, _) => Err("never an answer".into()),
        _ => Ok(()),
    }
}

#[handler(stream = "orders", group = "hanging")]
async fn hang(_: OrderPlaced) {
    std::future::pending().await
}

#[tokio::test]
async fn what_handlers_publish_is_handled_too() {
    let app = TestApp::new().await;
    app.client().create_stream("invoices").await.unwrap();
    app.publish(&OrderPlaced { id: 1 }).await;
    let worker = app.worker().state(app.client().clone());
    let report = app.drain(worker.register(bill).register(send)).await;
    assert_eq!(report.done(), 10, "{report}");
    assert_eq!(report.group("invoices", "mail").done(), 5);
    app.published::<OrderPlaced>().assert_count(5).await;
    app.published::<InvoiceSent>().assert_count(5).await;
    app.assert_nothing_else_published().await;
    app.check().await;
}

#[tokio::test]
async fn a_retry_is_left_waiting_until_time_moves() {
    let app = TestApp::new().await;
    app.publish_many(&[0, 1, 2, 3].map(|id| OrderPlaced { id }))
        .await;
    let report = app.drain(app.worker().register(fail)).await;
    assert_eq!((report.done(), report.failed(), report.dead()), (1, 2, 1));
    assert_eq!(report.groups[0].waiting, 2);

    // Before its time, nothing happens.
    app.advance(Duration::from_secs(1800)).await;
    let report = app.drain(app.worker().register(fail)).await;
    assert_eq!((report.done(), report.failed(), report.dead()), (0, 0, 0));

    app.advance(Duration::from_secs(2 * 3600)).await;
    let report = app.drain(app.worker().register(fail)).await;
    assert_eq!((report.done(), report.failed(), report.dead()), (1, 1, 0));

    app.all_due().await;
    let report = app.drain(app.worker().register(fail)).await;
    assert_eq!((report.done(), report.failed(), report.dead()), (0, 0, 1));
    let dead = &report.groups[0].messages[0];
    assert_eq!(dead.last_error.as_deref(), Some("never an answer"));
    app.check().await;
}

#[tokio::test]
async fn a_short_backoff_is_waited_for() {
    let app = TestApp::new().await;
    let offset = app.publish(&OrderPlaced { id: 2 }).await;
    let backoff = vulkan::Backoff::new(Duration::from_millis(20), Duration::from_millis(20));
    let worker = app
        .worker()
        .register_with(fail, |options| options.backoff(backoff));
    let report = app.drain(worker).await;
    assert_eq!(report.dead(), 1, "{report}");
    app.group("orders", "flaky")
        .assert_attempts(offset, 3)
        .await;
}

#[tokio::test]
async fn a_delayed_event_and_a_paused_group_are_left_waiting() {
    let app = TestApp::new().await;
    let later = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    app.publish(message("order.placed").deliver_at(later)).await;
    let report = app.drain(app.worker().register(audit)).await;
    assert_eq!(report.done(), 0);
    app.group("orders", "audit").assert_ready(1).await;

    app.advance(Duration::from_secs(3600)).await;
    let client = app.client();
    client.pause("orders", "audit", DryRun::No).await.unwrap();
    assert_eq!(app.drain(app.worker().register(audit)).await.done(), 0);
    client.resume("orders", "audit", DryRun::No).await.unwrap();
    assert_eq!(app.drain(app.worker().register(audit)).await.done(), 1);
}

#[tokio::test]
async fn a_transaction_that_stays_open_is_not_waited_for() {
    let app = TestApp::new().await;
    app.publish(&OrderPlaced { id: 1 }).await;
    let mut tx = app.client().begin().await.unwrap();
    let client = app.client();
    client
        .publish_in(&mut *tx, &OrderPlaced { id: 2 })
        .await
        .unwrap();
    assert_eq!(app.drain(app.worker().register(audit)).await.done(), 1);
    tx.commit().await.unwrap();
    assert_eq!(app.drain(app.worker().register(audit)).await.done(), 1);
}

#[tokio::test]
async fn a_drain_in_vain_says_what_is_left() {
    let app = TestApp::new().await;
    app.publish(message("order.placed").key("ada")).await;
    app.publish(message("order.placed").key("ada")).await;
    let worker = app
        .worker()
        .name("the-worker")
        .grace(Duration::ZERO)
        .register_with(hang, |options| options.concurrency(1));
    let drain = app.drain(worker).patience(Duration::from_millis(500));
    let text = failure(drain.into_future()).await;
    for part in [
        "not idle after 500ms",
        r#"group "hanging" of stream "orders": "#,
        "are in work",
        "with worker the-worker",
        "order.placed  ada  processing  1 of 6",
        "drain.rs",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test]
async fn a_worker_that_cannot_be_built_says_why() {
    let app = TestApp::new().await;
    let text = failure(app.drain(app.worker().concurrency(0)).into_future()).await;
    assert!(text.contains("add one with .register(..)"), "{text}");
    assert!(text.contains("concurrency is zero"), "{text}");
}

#[tokio::test]
async fn what_a_killed_worker_held_is_drained_when_its_leases_are_lost() {
    let app = TestApp::new().await;
    let offset = app.publish(&OrderPlaced { id: 1 }).await;
    let (tell, begun) = std::sync::mpsc::channel();
    let worker = app.worker().on_event(move |event| {
        if let WorkerEvent::Begun { .. } = event {
            let _ = tell.send(());
        }
    });
    let running = Running::start(worker.register_with(hang, |options| options.name("first")));
    let group = app.group("orders", "hanging");
    until("the handler to begin", async || begun.try_recv().is_ok()).await;
    // As a process that is killed.
    drop(running);
    group.assert_processing(1).await;

    app.advance(Duration::from_secs(31)).await;
    group.assert_ready(1).await;
    let worker = app.worker().state(()).register_with(audit, |mut options| {
        options.group = "hanging".into();
        options
    });
    assert_eq!(app.drain(worker).await.done(), 1);
    group.assert_attempts(offset, 2).await;
}

#[derive(serde::Serialize, serde::Deserialize, Event)]
#[event(stream = "second", kind = "step.done")]
struct Second {
    #[event(key)]
    nth: u64,
}

#[derive(serde::Serialize, serde::Deserialize, Event)]
#[event(stream = "third", kind = "step.done")]
struct Third {
    nth: u64,
}

#[handler(stream = "orders", group = "chain", backoff = "5ms..5ms")]
async fn first(
    order: OrderPlaced,
    cx: &Delivery,
    mut tx: Tx,
    client: State<Client>,
) -> vulkan::Result {
    let next = Second { nth: order.id };
    client.publish_in(&mut *tx, &next).await?;
    match cx.attempt() {
        1 if order.id.is_multiple_of(2) => Err("once more".into()),
        _ => Ok(()),
    }
}

#[handler(stream = "second", group = "chain")]
async fn second(event: Second, mut tx: Tx, client: State<Client>) -> vulkan::Result {
    client
        .publish_in(&mut *tx, &Third { nth: event.nth })
        .await?;
    Ok(())
}

#[handler(stream = "third", group = "chain")]
async fn third(_: Third) {}

/// One message after the other, so that each drain comes upon every gap between publishing and claiming.
#[tokio::test]
async fn a_chain_of_transactions_is_drained_to_its_end() {
    let app = TestApp::with_setup(async |client| {
        for stream in ["orders", "second", "third"] {
            client.create_stream(stream).await?;
        }
        Ok(())
    })
    .await;
    for id in 0..25 {
        app.publish(&OrderPlaced { id }).await;
        let worker = app.worker().state(app.client().clone());
        let worker = worker.register(first).register(second).register(third);
        let report = app.drain(worker).await;
        assert_eq!((report.done(), report.groups[2].done()), (3, 1), "{report}");
    }
    app.published::<Third>().assert_count(25).await;
    app.check().await;
}
