use vulkan::{Received, Tx, handler};

use crate::flight::Flight;
use crate::totals;

/// Adds up the delays of each carrier, each flight exactly once: the sums and the marks that the flights
/// are done are in one transaction.
#[handler(stream = "flights", group = "carriers", batch = 500, concurrency = 2)]
pub(crate) async fn add_up(flights: Vec<Received<Flight>>, mut tx: Tx) -> vulkan::Result {
    totals::add(&mut tx, flights.iter().map(|flight| &**flight)).await?;
    Ok(())
}
