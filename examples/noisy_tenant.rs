//! What a tenant with a million messages waiting does to the others: `cargo run --release --bin noisy_tenant`.
//!
//! Ten quiet tenants publish now and then to two streams, each with a group of its own, in turn. Then a noisy tenant
//! publishes a million messages, in a hundred thousand keys, to one of the streams. Its group has a limit per key prefix, so
//! that the cursor passes over what the noisy one has too much of. Measured is the time from just before a publish to the
//! beginning of its handler; the other stream, at the same moments, tells what of it is the machine's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vulkan::{Client, Message, Shutdown, State, Worker, handler};

const KEYS: i32 = 100_000;
const QUIET: usize = 10;

#[derive(Serialize, Deserialize)]
struct Job {
    /// When it was about to be published, by the clock of this program. The noisy tenant's do not say.
    micros: Option<u64>,
}

/// The latencies of the quiet tenants in both streams, and the clock they are measured by.
struct Record {
    start: Instant,
    latencies: [Mutex<Vec<Duration>>; 2],
}

impl Record {
    /// Handles a job of one of the streams.
    async fn handle(&self, stream: usize, job: Job) {
        let Some(micros) = job.micros else {
            return tokio::time::sleep(Duration::from_millis(250)).await;
        };
        let published = Duration::from_micros(micros);
        let latency = self.start.elapsed().saturating_sub(published);
        self.of(stream).push(latency);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn of(&self, stream: usize) -> std::sync::MutexGuard<'_, Vec<Duration>> {
        self.latencies[stream]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[handler(
    stream = "noisy",
    group = "tenants",
    max_in_flight_per_prefix = 4,
    concurrency = 32
)]
async fn beside(job: Job, record: State<Arc<Record>>) {
    record.handle(0, job).await;
}

#[handler(
    stream = "calm",
    group = "tenants",
    max_in_flight_per_prefix = 4,
    concurrency = 32
)]
async fn alone(job: Job, record: State<Arc<Record>>) {
    record.handle(1, job).await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let waiting: i32 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let seconds: usize = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let database = vulkan_devpg::shared().await.create_database().await?;
    let client = Client::connect(&database.url()).await?;
    client.migrate().await?;
    let record = Arc::new(Record {
        start: Instant::now(),
        latencies: Default::default(),
    });
    for stream in ["noisy", "calm"] {
        client.create_stream(stream).await?;
    }
    let shutdown = Shutdown::new();
    let worker = Worker::builder(client.clone())
        .state(Arc::clone(&record))
        .register(beside)
        .register(alone)
        .run(shutdown.clone());
    let worker = tokio::spawn(worker);

    println!("before:");
    let before = measure(&client, &record, seconds).await?;
    let since = Instant::now();
    for batch in 0..waiting / 10_000 {
        let publish = "SELECT vulkan.publish_many('noisy', array_fill('job.queued'::text, ARRAY[10000]),
            array_fill('{}'::jsonb, ARRAY[10000]),
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
    let passed = "SELECT vulkan.cursor_of(vulkan.group_id('noisy', 'tenants')) >= max(\"offset\") FROM vulkan.events";
    while !sqlx::query_scalar::<_, bool>(passed)
        .fetch_one(client.pool())
        .await?
    {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!(
        "the cursor has passed over them after another {:.1?}",
        since.elapsed()
    );
    println!("beside them:");
    let after = measure(&client, &record, seconds).await?;
    for (what, of) in [("median", 0), ("mean", 1)] {
        let change = 100.0 * (after[0][of] / before[0][of] - 1.0);
        let machine = 100.0 * (after[1][of] / before[1][of] - 1.0);
        println!("{what}: {change:+.1} %, and {machine:+.1} % in the calm stream");
    }
    shutdown.stop();
    worker.await??;
    Ok(())
}

/// The quiet tenants publish one after the other, forty times a second, to both streams in turn. Median and mean of each.
async fn measure(
    client: &Client,
    record: &Record,
    seconds: usize,
) -> Result<[[f64; 2]; 2], Box<dyn std::error::Error>> {
    let mut ticks = tokio::time::interval(Duration::from_millis(25));
    // Three seconds to get warm.
    for n in 0..(seconds + 3) * 40 {
        ticks.tick().await;
        if n == 3 * 40 {
            (0..2).for_each(|stream| record.of(stream).clear());
        }
        let micros = Some(u64::try_from(record.start.elapsed().as_micros())?);
        let stream = ["noisy", "calm"][n % 2];
        let job = Message::new(stream, "job.queued", &Job { micros })?;
        let key = format!("quiet-{}:{n}", n % QUIET);
        client.publish(job.key(key)).await?;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok([
        report("noisy stream", &record.of(0)),
        report("calm stream", &record.of(1)),
    ])
}

/// Prints the latencies; returns median and mean in milliseconds.
fn report(what: &str, latencies: &[Duration]) -> [f64; 2] {
    let mut millis: Vec<f64> = latencies
        .iter()
        .map(|one| one.as_secs_f64() * 1000.0)
        .collect();
    millis.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| {
        let place = millis.len() * share / 100;
        millis.get(place).copied().unwrap_or(f64::NAN)
    };
    let count = u32::try_from(millis.len()).unwrap_or(u32::MAX);
    let mean = millis.iter().sum::<f64>() / f64::from(count);
    println!(
        "  {what}: {count} messages, median {:.2} ms, mean {mean:.2} ms, 95 % within {:.2} ms",
        at(50),
        at(95)
    );
    [at(50), mean]
}
