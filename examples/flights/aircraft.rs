use std::sync::Arc;

use vulkan::{State, handler};

use crate::flight::Flight;
use crate::tower::Tower;

/// Follows each aircraft through its day. Flights of one aircraft come one after the other.
///
/// It was written by somebody who did not think of cancelled flights, which have no departure: it
/// fails on them until it is fixed.
#[handler(
    stream = "flights",
    group = "aircraft",
    retries = 2,
    backoff = "20ms..40ms"
)]
pub(crate) async fn follow(flight: Flight, tower: State<Arc<Tower>>) -> vulkan::Result {
    tower.begin(&flight);
    if flight.departure.is_none() && !tower.knows_cancelled() {
        return Err("no departure time".into());
    }
    tower.end(&flight);
    Ok(())
}
