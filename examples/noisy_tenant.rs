//! What a tenant with a million messages waiting does to the others: `cargo run --release --bin noisy_tenant`.
//!
//! Ten quiet tenants publish now and then, first alone, then beside a noisy one whose messages wait in a hundred
//! thousand keys. The group has a limit per key prefix, so that the cursor passes over what the noisy one has too
//! much of. Measured is the time from just before the publish to the beginning of the handler.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vulkan::{Client, Event, Shutdown, State, Worker, handler};

const KEYS: i32 = 100_000;
const QUIET: usize = 10;

#[derive(Serialize, Deserialize, Event)]
#[event(stream = "jobs", kind = "job.queued")]
struct Job {
    #[event(key)]
    key: String,
    /// When it was about to be published, by the clock of this program. The noisy tenant's do not say.
    micros: Option<u64>,
}

/// The latencies of the quiet tenants, and the clock they are measured by.
struct Record {
    start: Instant,
    latencies: Mutex<Vec<Duration>>,
}

impl Record {
    fn take(&self) -> Vec<Duration> {
        std::mem::take(
            &mut self
                .latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

#[handler(
    stream = "jobs",
    group = "tenants",
    max_in_flight_per_prefix = 4,
    concurrency = 32
)]
async fn serve(job: Job, record: State<Arc<Record>>) {
    // Work that waits for something, as most does.
    let work = match job.micros {
        Some(_) => Duration::from_millis(50),
        None => Duration::from_millis(250),
    };
    if let Some(micros) = job.micros {
        let latency = record
            .start
            .elapsed()
            .saturating_sub(Duration::from_micros(micros));
        let mut latencies = record
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        latencies.push(latency);
    }
    tokio::time::sleep(work).await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let waiting: i32 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let seconds: u32 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let database = vulkan_devpg::shared().await.create_database().await?;
    let client = Client::connect(&database.url()).await?;
    client.migrate().await?;
    client.create_stream("jobs").await?;
    let record = Arc::new(Record {
        start: Instant::now(),
        latencies: Mutex::default(),
    });
    let shutdown = Shutdown::new();
    let worker = Worker::builder(client.clone())
        .state(Arc::clone(&record))
        .register(serve)
        .run(shutdown.clone());
    let worker = tokio::spawn(worker);

    quietly(&client, &record, 3).await?;
    record.take();
    quietly(&client, &record, seconds).await?;
    let before = report("alone", record.take());

    let since = Instant::now();
    for batch in 0..waiting / 10_000 {
        let publish = "SELECT vulkan.publish_many('jobs', array_fill('job.queued'::text, ARRAY[10000]),
            array_fill(jsonb_build_object('key', 'noisy'), ARRAY[10000]),
            ARRAY(SELECT 'noisy:' || ($1::bigint * 10000 + n) % $2 FROM generate_series(1, 10000) n))";
        sqlx::query(publish)
            .bind(batch)
            .bind(KEYS)
            .execute(client.pool())
            .await?;
    }
    println!(
        "{waiting} messages of the noisy tenant published in {:.1?}",
        since.elapsed()
    );
    let since = Instant::now();
    loop {
        let overview = client.overview().await?;
        if overview.iter().all(|group| group.lag_messages == 0) {
            println!(
                "the cursor has passed over them after another {:.1?}; {} messages wait",
                since.elapsed(),
                overview[0].ready,
            );
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    quietly(&client, &record, 3).await?;
    record.take();
    quietly(&client, &record, seconds).await?;
    let beside = report("beside the noisy one", record.take());
    println!(
        "median {:+.1} %, mean {:+.1} %",
        100.0 * (beside.0 / before.0 - 1.0),
        100.0 * (beside.1 / before.1 - 1.0),
    );
    shutdown.stop();
    worker.await??;
    Ok(())
}

/// The quiet tenants publish one after the other, forty times a second.
async fn quietly(
    client: &Client,
    record: &Record,
    seconds: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut ticks = tokio::time::interval(Duration::from_millis(25));
    for n in 0..usize::try_from(seconds * 40)? {
        ticks.tick().await;
        let micros = u64::try_from(record.start.elapsed().as_micros())?;
        let job = Job {
            key: format!("quiet-{}:{n}", n % QUIET),
            micros: Some(micros),
        };
        client.publish(&job).await?;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}

/// Prints the latencies; returns median and mean in milliseconds.
fn report(what: &str, mut latencies: Vec<Duration>) -> (f64, f64) {
    latencies.sort_unstable();
    let millis: Vec<f64> = latencies
        .iter()
        .map(|one| one.as_secs_f64() * 1000.0)
        .collect();
    let at = |share: usize| {
        millis
            .get(millis.len() * share / 100)
            .copied()
            .unwrap_or(f64::NAN)
    };
    let count = u32::try_from(millis.len()).unwrap_or(u32::MAX);
    let mean = millis.iter().sum::<f64>() / f64::from(count);
    println!(
        "{what}: {count} messages, median {:.2} ms, mean {mean:.2} ms, 95 % within {:.2} ms, 99 % within {:.2} ms",
        at(50),
        at(95),
        at(99),
    );
    (at(50), mean)
}
