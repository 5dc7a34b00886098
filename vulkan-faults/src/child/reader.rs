//! A cursor reader process.

use futures::StreamExt;
use vulkan::{Client, Position};

use super::{Read, STREAM, end_of_input};
use crate::Result;
use crate::ledger::{Entry, Pen};

pub(super) async fn run(order: Read) -> Result<()> {
    let pen = Pen::open(&order.ledger, "reader")?;
    let client = Client::connect(&order.url).await?;
    let end = end_of_input();
    tokio::pin!(end);
    let mut events = client.read(STREAM, Position::Earliest).await?;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => pen.note(Entry::Read {
                    reader: order.name.clone(),
                    offset: event?.offset(),
                }),
                None => return Err("the stream of events ended".into()),
            },
            () = &mut end => return Ok(()),
        }
    }
}
