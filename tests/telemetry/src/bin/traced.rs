//! A program that traces: `traced publish URL` publishes and ends, `traced work URL` works until its input ends.

use std::io::{Read, stdin};

use serde_json::json;
use tracing::Instrument;
use vulkan::telemetry::{self, TraceOptions};
use vulkan::{Client, Delivery, Message, Received, Shutdown, State, Worker, handler};

type Failure = Box<dyn std::error::Error>;

/// Nothing of this may be in a trace.
fn order(kind: &str) -> Result<Message, vulkan::Error> {
    let payload = json!({"card": "canary-payload"});
    Ok(Message::new("orders", kind, &payload)?
        .key("canary-key")
        .header("authorization", "canary-header"))
}

async fn publish(client: &Client) -> Result<(), Failure> {
    client.publish(order("order.placed")?).await?;
    let mut tx = client.begin().await?;
    client.publish_in(&mut *tx, order("order.quiet")?).await?;
    tx.commit().await?;
    let batch = ["row.a", "row.b", "row.c"].map(|kind| Message::new("rows", kind, &7));
    client
        .publish_many(batch.into_iter().collect::<Result<Vec<_>, _>>()?)
        .await?;
    let publisher = client.publisher();
    publisher.publish(order("order.quiet")?).await?;
    publisher.close().await;
    let refused = client
        .publish(Message::new("no-such-stream", "a", &7)?)
        .await;
    assert!(refused.is_err());
    Ok(())
}

#[handler(
    stream = "orders",
    group = "billing",
    kinds = "order.placed",
    retries = 2,
    backoff = "10ms..10ms"
)]
async fn bill(_order: serde_json::Value, cx: &Delivery, client: State<Client>) -> vulkan::Result {
    async {
        if cx.attempt() < 3 {
            return Err("canary-error".into());
        }
        client
            .publish(Message::new("receipts", "receipt.made", &7)?)
            .await?;
        Ok(())
    }
    .instrument(tracing::info_span!("charge"))
    .await
}

#[handler(
    stream = "orders",
    group = "givers-up",
    kinds = "order.placed",
    retries = 0
)]
async fn give_up(_order: serde_json::Value) -> vulkan::Result {
    panic!("canary-error")
}

#[handler(stream = "rows", group = "load", batch = 10)]
async fn load(_rows: Vec<Received<u64>>) {}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _telemetry = telemetry::init()?;
    let mut args = std::env::args().skip(1);
    let (role, url) = (
        args.next().unwrap_or_default(),
        args.next().unwrap_or_default(),
    );
    let traces = TraceOptions::new().links_only(args.next().as_deref() == Some("links-only"));
    let client = Client::connect(&url).await?.with_traces(traces);
    if role == "publish" {
        publish(&client)
            .instrument(tracing::info_span!("checkout"))
            .await?;
        return Ok(());
    }
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    std::thread::spawn(move || {
        let _ = stdin().read(&mut [0]);
        stop.stop();
    });
    Worker::builder(client.clone())
        .name("worker-1")
        .state(client)
        .register(bill)
        .register(give_up)
        .register(load)
        .run(shutdown)
        .await?;
    Ok(())
}
