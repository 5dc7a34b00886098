use futures::StreamExt;
use vulkan::{Client, Start};

use crate::Error;

/// Counts the flights with a bare cursor, committed every thousand and at the end.
pub(crate) async fn count(client: Client, all: usize) -> Result<usize, Error> {
    let reader = client.reader("flights", "counter", Start::Earliest).await?;
    let mut events = reader.events();
    let mut counted = 0;
    let mut last = 0;
    while counted < all
        && let Some(event) = events.next().await
    {
        let event = event?;
        if event.offset() <= last {
            return Err(format!("offset {} was read after {last}", event.offset()).into());
        }
        counted += 1;
        last = event.offset();
        if counted % 1000 == 0 {
            reader.commit(last).await?;
        }
    }
    reader.commit(last).await?;
    drop(events);
    reader.close().await?;
    Ok(counted)
}
