//! The part of Vulkan in a public contest: a process that publishes to itself and handles that, for hours, and says every few
//! seconds how it gets on. The contract is that of <https://github.com/hardbyte/postgresql-job-queue-benchmarking>, in its
//! `CONTRIBUTING_ADAPTERS.md`: configured by the environment, JSON lines on the standard output, logs on the other,
//! ended by SIGTERM. `README.md` says how to put it there.

mod answer;
mod config;
mod depth;
mod error;
mod job;
mod latency;
mod lines;
mod meters;
mod offer;
mod prepare;
mod producer;
mod sampler;
mod stop;
mod tokens;
mod work;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;
use vulkan::Client;

use config::Config;
use error::AdapterError;
use lines::Lines;
use meters::Meters;
use stop::Stop;

/// The one stream, and the one group on it.
const STREAM: &str = "long_horizon";
const GROUP: &str = "long_horizon";
const KIND: &str = "job.queued";

/// How long all may take to end, of the five seconds that the contract gives.
const END: Duration = Duration::from_millis(4300);

/// Runs until it is told to stop. Exit code 2 is for an environment that cannot be meant.
pub(crate) async fn run() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails where the program has a subscriber already, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
    match contend().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vulkan-bench adapter: {}", error.in_one_line());
            error.exit_code()
        }
    }
}

async fn contend() -> Result<(), AdapterError> {
    let config = Arc::new(Config::from_env()?);
    // Producer and worker have a pool each, as the two programs that they mostly are.
    let connected = (
        Client::connect(&config.url).await,
        Client::connect(&config.url).await,
    );
    let (Ok(publishes), Ok(works)) = connected else {
        return Err(config::bad_url().into());
    };
    let stop = Stop::on_signals().map_err(AdapterError::Signals)?;
    let lines = Lines::start(stop.clone()).map_err(AdapterError::Thread)?;
    let meters = Arc::new(Meters::new()?);

    let Some(prepared) = prepare::prepare(&publishes, &meters, &stop).await? else {
        return Ok(());
    };
    lines.send(&[prepared.descriptor]);

    let mut parts = JoinSet::new();
    parts.spawn(work::work(
        works,
        Arc::clone(&config),
        Arc::clone(&meters),
        stop.clone(),
    ));
    parts.spawn(depth::follow(
        publishes.clone(),
        Arc::clone(&prepared.depth),
        Arc::clone(&meters),
        config.depth_every(),
        stop.clone(),
    ));
    parts.spawn(sampler::sample(
        Arc::clone(&config),
        Arc::clone(&meters),
        Arc::clone(&prepared.depth),
        lines.clone(),
        stop.clone(),
    ));
    if config.produces {
        parts.spawn(producer::produce(
            publishes,
            Arc::clone(&config),
            Arc::clone(&meters),
            prepared.depth,
            stop.clone(),
        ));
    }
    tokio::select! {
        () = stop.asked() => {}
        // None of them ends by itself, unless it has panicked.
        ended = parts.join_next() => {
            if let Some(Err(error)) = ended {
                return Err(AdapterError::Part(error));
            }
        }
    }
    let end = async {
        while let Some(ended) = parts.join_next().await {
            ended.map_err(AdapterError::Part)?;
        }
        Ok::<_, AdapterError>(())
    };
    let ended = timeout(END, end).await;
    // All lines so far were for whole windows, and a reader that is there has them in a moment.
    let flushed = lines.flush(Duration::from_millis(300)).await;
    match ended {
        Ok(ended) => ended?,
        Err(_) => tracing::warn!(
            "the database gives no answer: what became of the last messages could not be reported"
        ),
    }
    flushed
}
