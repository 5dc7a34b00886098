//! Handlers of several messages at once, called directly and through the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use vulkan::{
    Batch, BatchHandler, Delivery, Disposition, HandlerError, HandlerOptions, Received, Result,
    State, handler,
};

use crate::registry::{Registry, erase};

type Sum = Arc<AtomicU64>;

#[handler(stream = "orders", group = "load", batch = 40, priority = -3, weight = 2)]
async fn load(orders: Vec<Received<u64>>, State(sum): State<Sum>) -> Result {
    std::future::ready(()).await;
    for order in &orders {
        match **order {
            0 => order.fail(HandlerError::dead("nothing")),
            total => _ = sum.fetch_add(total, Ordering::Relaxed),
        }
    }
    Ok(())
}

/// A name of one's own for the type of the messages.
type Orders = Vec<Received<u64>>;

#[handler(stream = "orders", group = "alias", batch = 2)]
async fn by_alias(orders: Orders) {
    assert_eq!(orders.len(), 1);
}

struct ByHand;

impl BatchHandler<Sum> for ByHand {
    fn options(&self) -> HandlerOptions {
        HandlerOptions::new("orders", "by-hand")
    }

    async fn call(&self, batch: &Batch, sum: &Sum) -> Result {
        let many = u64::try_from(batch.len())?;
        sum.fetch_add(1000 * many, Ordering::Relaxed);
        Ok(())
    }
}

fn delivery(payload: &serde_json::Value) -> Delivery {
    Delivery::builder_json(payload).unwrap().build()
}

#[test]
fn options_are_those_of_the_attribute() {
    let options = erase::<Sum, _, _>(load).options();
    let expected = HandlerOptions::new("orders", "load")
        .name("load")
        .batch(40)
        .priority(-3)
        .weight(2);
    assert_eq!(options, expected);
    // Who takes batches takes some, said or not.
    let options = erase::<Sum, _, _>(ByHand).options();
    assert_eq!(options.batch, Some(HandlerOptions::DEFAULT_BATCH));
}

#[tokio::test]
async fn a_batch_decodes_fails_and_sums_up() {
    let sum = Sum::default();
    let handler = erase(load);
    assert!(handler.takes_batches());
    let batch = Batch::of(
        [json!(1), json!("one"), json!(0), json!(5)]
            .iter()
            .map(delivery),
    );
    handler.call_batch(&batch, &sum).await.unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), 6);
    let failures = batch.take_failures();
    let places: Vec<usize> = failures.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [1, 2]);
    assert!(failures[0].1.message().contains("cannot decode"));
    assert_eq!(failures[1].1.message(), "nothing");
    for (_, error) in failures {
        assert_eq!(error.disposition(), Disposition::Dead);
    }

    // Without any that decodes it is not called at all: it would not even count.
    let batch = Batch::of([delivery(&json!("one"))]);
    erase(by_alias).call_batch(&batch, &sum).await.unwrap();
    assert_eq!(batch.take_failures().len(), 1);
}

#[tokio::test]
async fn one_message_is_a_batch_of_one() {
    let sum = Sum::default();
    let handler = erase(load);
    handler.call(&delivery(&json!(7)), &sum).await.unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), 7);
    let error = handler.call(&delivery(&json!(0)), &sum).await.unwrap_err();
    assert_eq!(error.message(), "nothing");
    let error = handler
        .call(&delivery(&json!("x")), &sum)
        .await
        .unwrap_err();
    assert_eq!(error.disposition(), Disposition::Dead);
}

#[tokio::test]
async fn functions_and_handlers_by_hand_mix_and_stay_callable() {
    let registry = Registry::<Sum>::new()
        .register(load)
        .register(by_alias)
        .register(ByHand)
        .register(load {});
    assert_eq!(registry.names(), ["load", "by_alias", "by-hand", "load"]);

    let sum = Sum::default();
    let order = Received::new(9, delivery(&json!(9)));
    load(vec![order], State(Arc::clone(&sum))).await.unwrap();
    erase(ByHand)
        .call(&delivery(&json!(0)), &sum)
        .await
        .unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), 1009);
}
