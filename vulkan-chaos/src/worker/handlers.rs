//! The two handlers, as a program would write them; each asks in the midst of its work what trouble it is in.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use vulkan::{Delivery, State, Tx, handler};

use super::trouble::Trouble;
use crate::ledger::{Handled, now};
use crate::order::OrderPlaced;

type Shared = State<Arc<Trouble>>;

/// Sends an e-mail, that is, writes a line into the ledger: an effect outside of the database, which no transaction takes back.
#[handler(
    stream = "orders",
    group = "emails",
    retries = 6,
    backoff = "100ms..1s",
    concurrency = 10
)]
pub(super) async fn send_email(_: OrderPlaced, cx: &Delivery, trouble: Shared) -> vulkan::Result {
    let began = now();
    work().await;
    trouble.may_fail()?;
    trouble.may_freeze(cx).await;
    write_down(cx, &trouble, began)
}

/// Books the order in the transaction that marks the message done.
#[handler(
    stream = "orders",
    group = "payments",
    retries = 6,
    backoff = "100ms..1s",
    concurrency = 10
)]
pub(super) async fn book_payment(
    order: OrderPlaced,
    cx: &Delivery,
    mut tx: Tx,
    trouble: Shared,
) -> vulkan::Result {
    let began = now();
    sqlx::query(include_str!("../sql/book_payment.sql"))
        .bind(cx.offset())
        .bind(i64::try_from(order.id)?)
        .execute(&mut *tx)
        .await?;
    work().await;
    trouble.may_crash(cx);
    trouble.may_fail()?;
    trouble.may_freeze(cx).await;
    // Ahead of the commit, and so of the effect: it says that the handler ran, not that its payment stands.
    write_down(cx, &trouble, began)
}

/// Long enough to be caught in.
async fn work() {
    let millis = rand::rng().random_range(40..160);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn write_down(cx: &Delivery, trouble: &Trouble, began: u64) -> vulkan::Result {
    trouble.ledger.write([&Handled {
        group: cx.group().to_owned(),
        offset: cx.offset(),
        attempt: i32::try_from(cx.attempt())?,
        began,
        ended: now(),
    }])?;
    Ok(())
}
