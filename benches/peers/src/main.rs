//! Other Postgres queues behind one command line, so that `vulkan-bench` can measure
//! each in a process of its own.

mod apalis_postgres;
mod awa;
mod command;
mod drive;
mod graphile_worker;
mod load;
mod peer;
mod pgmq;
mod pgq;
mod protocol;
mod sqlxmq;
mod underway;

use std::process::ExitCode;

use anyhow::Result;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever the causes look like.
            eprintln!("peers: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let command = command::parse(std::env::args().skip(1))?;
    let runtime = Runtime::new()?;
    let ended = runtime.block_on(async {
        // Some of the crates listen for signals, and would then finish at leisure.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = command.run() => ended,
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    });
    // A read of stdin cannot be cancelled, and a lost worker should not be waited for.
    runtime.shutdown_background();
    ended
}
