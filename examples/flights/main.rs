//! Every flight out of New York, through one log and three groups: `cargo run --bin flights`.
//!
//! Takes the January of 2013 that comes with the project, or a path to the whole year:
//! `cargo run --release --bin flights -- flights.csv.zip`.

mod aircraft;
mod carriers;
mod count;
mod flight;
mod progress;
mod publish;
mod report;
mod source;
mod totals;
mod tower;

use std::sync::Arc;
use std::time::Instant;

use tower::Tower;
use vulkan::{Client, DryRun, Redrive, Shutdown, Worker};
use vulkan_devpg::Postgres;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let path = std::env::args().nth(1);
    let flights = source::read(path.as_deref())?;
    println!(
        "{} flights from {}",
        flights.len(),
        path.as_deref().unwrap_or("January 2013")
    );

    // A database of its own on a server of its own, unless DATABASE_URL names one; gone when this ends.
    let postgres = Postgres::start().await?;
    let database = postgres.create_database().await?;
    let client = Client::connect(&database.url()).await?;
    client.migrate().await?;
    client.create_stream("flights").await?;
    totals::create(client.pool()).await?;

    let tower = Arc::new(Tower::default());
    let shutdown = Shutdown::new();
    let worker = Worker::builder(client.clone())
        .state(Arc::clone(&tower))
        .register(aircraft::follow)
        .register(carriers::add_up)
        .build()?;
    let worker = tokio::spawn(worker.run(shutdown.clone()));
    let counting = tokio::spawn(count::count(client.clone(), flights.len()));

    let started = Instant::now();
    let progress = progress::show(client.clone());
    let published = publish::all(&client, &flights).await?;
    progress::until_settled(&client).await?;
    let counted = counting.await??;
    let handled = started.elapsed();
    drop(progress);

    let (dead, retries) = report::dead_letters(&client).await?;
    println!("\nThe bug is fixed: a cancelled flight is no error. Redriving {dead} dead letters.");
    tower.fix_the_bug();
    let redriven = client
        .redrive("flights", "aircraft", Redrive::default(), DryRun::No)
        .await?;
    progress::until_settled(&client).await?;
    shutdown.stop();
    worker.await??;

    let outcome = report::Outcome {
        published,
        handled,
        counted,
        dead,
        retries,
        redriven,
    };
    let clean = report::close(&client, &flights, &tower, &outcome).await?;
    if clean {
        Ok(())
    } else {
        Err("the run does not agree with the CSV".into())
    }
}
