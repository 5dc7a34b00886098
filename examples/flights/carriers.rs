use std::sync::Arc;

use vulkan::{Delivery, State, handler};

use crate::flight::Flight;
use crate::totals;
use crate::tower::Tower;

/// Adds up the delays of each carrier, each flight exactly once: the sum and the mark that the flight
/// is done are in one transaction.
#[handler(stream = "flights", group = "carriers", concurrency = 32)]
pub(crate) async fn add_up(
    flight: Flight,
    cx: &Delivery,
    tower: State<Arc<Tower>>,
) -> vulkan::Result {
    let mut tx = tower.client.begin().await?;
    totals::add(&mut tx, &flight).await?;
    cx.complete_in(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
