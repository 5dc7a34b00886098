//! The handlers, as a program would write them. Stream and group are changed when they are registered.

use std::sync::Arc;
use std::time::Duration;

use vulkan::{Delivery, Received, State, Tx, handler};

use super::Deed;
use super::tally::Tally;
use crate::order::Order;

type Shared = State<Arc<Tally>>;

#[handler(stream = "orders", group = "bench")]
pub(super) async fn nothing(order: Order, tally: Shared) {
    tally.handled(&order);
}

#[handler(stream = "orders", group = "bench")]
pub(super) async fn sleep(order: Order, tally: Shared) {
    if let Deed::Sleep { millis } = tally.deed {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    tally.handled(&order);
}

#[handler(stream = "orders", group = "bench", backoff = "100ms..1s")]
pub(super) async fn fail(order: Order, delivery: &Delivery, tally: Shared) -> vulkan::Result {
    if let Deed::FailEvery(many) = tally.deed
        && order.id.is_multiple_of(many)
        && delivery.attempt() == 1
    {
        return Err("the bank does not answer".into());
    }
    tally.handled(&order);
    Ok(())
}

#[handler(stream = "orders", group = "bench")]
pub(super) async fn in_order(order: Order, tally: Shared) {
    tally.comes(&order);
    tally.handled(&order);
}

#[handler(stream = "orders", group = "bench")]
pub(super) async fn latency(order: Order, tally: Shared) {
    tally.starts(&order);
    tally.handled(&order);
}

#[handler(stream = "orders", group = "bench")]
pub(super) async fn insert(order: Order, mut tx: Tx, tally: Shared) -> vulkan::Result {
    sqlx::query(include_str!("../sql/effect.sql"))
        .bind(i64::try_from(order.id)?)
        .bind(&order.note)
        .execute(&mut *tx)
        .await?;
    tally.handled(&order);
    Ok(())
}

#[handler(stream = "orders", group = "bench", batch = 100)]
pub(super) async fn insert_batch(
    orders: Vec<Received<Order>>,
    mut tx: Tx,
    tally: Shared,
) -> vulkan::Result {
    let ids: Vec<i64> = orders
        .iter()
        .map(|order| i64::try_from(order.id))
        .collect::<Result<_, _>>()?;
    let notes: Vec<&str> = orders.iter().map(|order| order.note.as_str()).collect();
    sqlx::query(include_str!("../sql/effects.sql"))
        .bind(ids)
        .bind(notes)
        .execute(&mut *tx)
        .await?;
    for order in &orders {
        tally.handled(order);
    }
    Ok(())
}
