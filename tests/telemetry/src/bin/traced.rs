//! A program that traces: `traced publish URL` publishes and ends, `traced work URL` works until its input ends.
//!
//! A third argument says which options of traces are not as they are unless set, by name, between commas.

use std::io::{Read, stdin};
use std::time::Duration;

use serde_json::json;
use tracing::Instrument;
use vulkan::telemetry::{self, TraceOptions};
use vulkan::{Client, Delivery, HandlerError, Message, Received, Shutdown, State, Worker, handler};

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
    let batch = ["row.a", "row.b", "row.c"].map(|kind| {
        let row = Message::new("rows", kind, &7)?;
        Ok::<_, vulkan::Error>(row.key(format!("canary-key-{kind}")))
    });
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

/// Puts off what it gets, once.
#[handler(stream = "orders", group = "patient", kinds = "order.later")]
async fn put_off(_order: serde_json::Value, cx: &Delivery) -> vulkan::Result {
    if cx.checkpoint::<bool>().await?.is_some() {
        return Ok(());
    }
    Err(HandlerError::snooze(Duration::from_millis(10)).with_checkpoint(&true)?)
}

#[handler(stream = "rows", group = "load", batch = 10)]
async fn load(_rows: Vec<Received<u64>>) {}

fn traces(options: &str) -> Result<TraceOptions, Failure> {
    let mut traces = TraceOptions::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        traces = match option {
            "links-only" => traces.links_only(true),
            "no-create-spans" => traces.create_spans(false),
            "partition-keys" => traces.partition_keys(true),
            "body-sizes" => traces.body_sizes(true),
            _ => return Err(format!("there is no option {option:?}").into()),
        };
    }
    Ok(traces)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _telemetry = telemetry::init()?;
    let mut args = std::env::args().skip(1);
    let (role, url) = (
        args.next().unwrap_or_default(),
        args.next().unwrap_or_default(),
    );
    let options = args.next().unwrap_or_default();
    let client = Client::connect(&url).await?.with_traces(traces(&options)?);
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
        .register(put_off)
        .register(load)
        .run(shutdown)
        .await?;
    Ok(())
}
