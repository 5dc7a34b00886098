//! What a tenant with a million messages waiting does to the others: `cargo run --release --bin noisy_tenant`.
//!
//! Ten quiet tenants publish now and then to two streams, each with a group of its own, in turn. Then a noisy tenant
//! publishes a million messages, in a hundred thousand keys, to one of the streams. Its group has a limit per key prefix, so
//! that the cursor passes over what the noisy one has too much of. Measured is the time from just before a publish to the
//! beginning of its handler: before, from the first noisy message until the cursor has passed over the last, and after that.
//! The other stream, at the same moments, tells what of it is the machine's.
//!
//! Its arguments: how many messages the noisy tenant publishes, for how many seconds is measured before and after, and how
//! many percent more the median may grow than in the other stream. Without the last it only measures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vulkan::{Client, Message, Shutdown, State, Worker, handler};

const KEYS: i32 = 100_000;
/// The quiet tenants, and how often one of them publishes.
const QUIET: u32 = 10;
const A_SECOND: u32 = 40;
const STREAMS: [&str; 2] = ["noisy", "calm"];

type Failure = Box<dyn std::error::Error>;

#[derive(Serialize, Deserialize)]
struct Job {
    /// When it was about to be published, by the clock of this program. The noisy tenant's do not say.
    micros: Option<u64>,
}

/// The latencies of the quiet tenants in both streams, in milliseconds, and the clock they are measured by.
struct Record {
    start: Instant,
    latencies: [Mutex<Vec<f64>>; 2],
}

impl Record {
    /// Handles a job of one of the streams.
    async fn handle(&self, stream: usize, job: Job) {
        let Some(micros) = job.micros else {
            return tokio::time::sleep(Duration::from_millis(250)).await;
        };
        let published = Duration::from_micros(micros);
        let latency = self.start.elapsed().saturating_sub(published);
        self.of(stream).push(latency.as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn of(&self, stream: usize) -> MutexGuard<'_, Vec<f64>> {
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
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().map(|text| text.parse::<u32>()).transpose();
    let waiting = argument()?.unwrap_or(1_000_000);
    let seconds = argument()?.unwrap_or(20);
    let at_most = argument()?;
    let database = vulkan_devpg::shared().await.create_database().await?;
    let client = Client::connect(&database.url()).await?;
    client.migrate().await?;
    let record = Arc::new(Record {
        start: Instant::now(),
        latencies: Default::default(),
    });
    for stream in STREAMS {
        client.create_stream(stream).await?;
    }
    let shutdown = Shutdown::new();
    let worker = Worker::builder(client.clone())
        .state(Arc::clone(&record))
        .register(beside)
        .register(alone)
        .run(shutdown.clone());
    let worker = tokio::spawn(worker);

    // To get warm.
    measure(&client, &record, |ticks| ticks >= 3 * A_SECOND).await?;
    let enough = |ticks| ticks >= seconds * A_SECOND;
    println!("before:");
    let before = report(measure(&client, &record, enough).await?);
    let noise = tokio::spawn(make_noise(client.clone(), waiting));
    let meanwhile = measure(&client, &record, |_| noise.is_finished()).await?;
    noise.await??;
    println!("meanwhile:");
    report(meanwhile);
    println!("beside them:");
    let after = report(measure(&client, &record, enough).await?);
    for (what, of) in [("median", 0), ("mean", 1)] {
        let [noisy, calm] = [0, 1].map(|stream| change(before[stream][of], after[stream][of]));
        println!("{what}: {noisy:+.1} %, and {calm:+.1} % in the calm stream");
    }
    shutdown.stop();
    worker.await??;
    let [noisy, calm] = [0, 1].map(|stream| change(before[stream][0], after[stream][0]));
    match at_most {
        Some(most) if noisy > calm.max(0.0) + f64::from(most) => {
            Err(format!("the median has grown by {most} % more than in the calm stream").into())
        }
        _ => Ok(()),
    }
}

/// Publishes what the noisy tenant has, and waits until its group's cursor has passed over it.
async fn make_noise(client: Client, waiting: u32) -> Result<(), vulkan::Error> {
    let since = Instant::now();
    let mut last: i64 = 0;
    for first in (0..waiting).step_by(10_000) {
        let publish = "SELECT max(o) FROM vulkan.publish_many('noisy', array_fill('job.queued'::text, ARRAY[$2]),
            array_fill('{}'::jsonb, ARRAY[$2]),
            ARRAY(SELECT 'noisy:' || ($1 + n) % $3 FROM generate_series(1, $2) n)) o";
        last = sqlx::query_scalar(publish)
            .bind(i64::from(first))
            .bind(i32::try_from(10_000.min(waiting - first)).unwrap_or(10_000))
            .bind(KEYS)
            .fetch_one(client.pool())
            .await?;
    }
    println!(
        "{waiting} messages of the noisy tenant published in {:.1?}",
        since.elapsed()
    );
    let since = Instant::now();
    let passed = "SELECT vulkan.cursor_of(vulkan.group_id('noisy', 'tenants')) >= $1";
    while !sqlx::query_scalar::<_, bool>(passed)
        .bind(last)
        .fetch_one(client.pool())
        .await?
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!(
        "the cursor has passed over them after another {:.1?}",
        since.elapsed()
    );
    Ok(())
}

/// The quiet tenants publish one after the other, forty times a second, to both streams in turn, until it is enough. When all
/// of it has begun, returns how long each took in each stream, in milliseconds.
async fn measure(
    client: &Client,
    record: &Record,
    enough: impl Fn(u32) -> bool,
) -> Result<[Vec<f64>; 2], Failure> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / A_SECOND);
    let mut published = [0, 0];
    for n in 0.. {
        ticks.tick().await;
        if enough(n) {
            break;
        }
        let micros = Some(u64::try_from(record.start.elapsed().as_micros())?);
        let stream = usize::from(n % 2 == 1);
        let job = Message::new(STREAMS[stream], "job.queued", &Job { micros })?;
        let key = format!("quiet-{}:{n}", n % QUIET);
        client.publish(job.key(key)).await?;
        published[stream] += 1;
    }
    let since = Instant::now();
    while (0..2).any(|stream| record.of(stream).len() < published[stream]) {
        if since.elapsed() > Duration::from_secs(120) {
            return Err(
                "some messages of the quiet tenants have not begun within two minutes".into(),
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok([0, 1].map(|stream| std::mem::take(&mut *record.of(stream))))
}

/// Prints the latencies of both streams; returns median and mean of each.
fn report(latencies: [Vec<f64>; 2]) -> [[f64; 2]; 2] {
    let mut stream = STREAMS.into_iter();
    latencies.map(|mut millis| {
        millis.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| {
            let place = millis.len().saturating_sub(1) * share / 100;
            millis.get(place).copied().unwrap_or(f64::NAN)
        };
        let mean = millis.iter().sum::<f64>() / millis.len() as f64;
        println!(
            "  {} stream: {} messages, median {:.2} ms, mean {mean:.2} ms, 95 % within {:.2} ms, all within {:.2} ms",
            stream.next().unwrap_or_default(),
            millis.len(),
            at(50),
            at(95),
            at(100)
        );
        [at(50), mean]
    })
}

/// In percent.
fn change(before: f64, after: f64) -> f64 {
    100.0 * (after / before - 1.0)
}
