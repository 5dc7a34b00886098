//! The worker process.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use vulkan::{Client, HandlerOptions, Shutdown, Worker, WorkerBuilder};

use super::handlers::{fail, in_order, insert, insert_batch, latency, nothing, sleep};
use super::tally::Tally;
use super::{Deed, Line, Report, WorkOrder};
use crate::Result;
use crate::clock::now_us;
use crate::processes::{self, Used};

/// Between two looks at how far it is.
const TELL: Duration = Duration::from_millis(10);

pub(crate) async fn run(order: &str) -> Result<ExitCode> {
    let order: WorkOrder = serde_json::from_str(order)?;
    let tally = Arc::new(Tally::new(order.deed));
    let shutdown = Shutdown::new();
    let worker = register(&order, builder(&order, &tally).await?).build()?;
    say(&Line::Ready)?;
    let begun = begin(shutdown.clone()).await?;
    let telling = tokio::spawn(tell(Arc::clone(&tally)));
    worker.run(shutdown).await?;
    let settled_us = now_us();
    telling.abort();
    let used = processes::own();
    say(&Line::Report(Report {
        handled: tally.progress().handled,
        out_of_order: tally.out_of_order(),
        settled_us,
        used: Used {
            cpu_seconds: used
                .cpu_seconds
                .zip(begun.cpu_seconds)
                .map(|(end, begin)| end - begin),
            ..used
        },
        latency: tally.latency(),
    }))?;
    Ok(ExitCode::SUCCESS)
}

async fn builder(order: &WorkOrder, tally: &Arc<Tally>) -> Result<WorkerBuilder<Arc<Tally>>> {
    let client = match order.deed {
        // A connection for each handler's transaction, and some for the worker.
        Deed::Insert | Deed::InsertBatch(_) => {
            let options: PgConnectOptions = order.url.parse()?;
            let connections = u32::try_from(order.slots)? + 6;
            Client::new(
                PgPoolOptions::new()
                    .max_connections(connections)
                    .connect_with(options)
                    .await?,
            )
        }
        _ => Client::connect(&order.url).await?,
    };
    Ok(Worker::builder(client)
        .state(Arc::clone(tally))
        .concurrency(order.slots))
}

fn register(
    order: &WorkOrder,
    mut builder: WorkerBuilder<Arc<Tally>>,
) -> WorkerBuilder<Arc<Tally>> {
    for group in &order.groups {
        let of_group = |options: HandlerOptions| HandlerOptions {
            group: group.clone().into(),
            ..options
        };
        builder = match order.deed {
            Deed::Nothing => builder.register_with(nothing, of_group),
            Deed::Sleep { .. } => builder.register_with(sleep, of_group),
            Deed::FailEvery(_) => builder.register_with(fail, of_group),
            Deed::InOrder { .. } => builder.register_with(in_order, of_group),
            Deed::Latency => builder.register_with(latency, of_group),
            Deed::Insert => builder.register_with(insert, of_group),
            Deed::InsertBatch(many) => {
                builder.register_with(insert_batch, |options| of_group(options).batch(many))
            }
        };
    }
    builder
}

/// Waits for a line, and from then on for the end of the input, which stops the worker.
async fn begin(shutdown: Shutdown) -> Result<Used> {
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread, since nothing else can give up a read of the input.
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lock().lines();
        let _ = tell.send(lines.next());
        while lines.next().is_some() {}
        shutdown.stop();
    });
    told.await?.ok_or("the parent is gone")??;
    Ok(processes::own())
}

async fn tell(tally: Arc<Tally>) {
    let mut said = 0;
    let mut ticks = tokio::time::interval(TELL);
    loop {
        ticks.tick().await;
        let progress = tally.progress();
        if progress.handled != said {
            said = progress.handled;
            if say(&Line::Progress(progress)).is_err() {
                return;
            }
        }
    }
}

fn say(line: &Line) -> Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
