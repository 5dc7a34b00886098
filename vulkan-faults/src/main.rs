//! Tries to lose messages: `cargo run -p vulkan-faults -- run`.
//!
//! Real worker and publisher processes run on a real server under a steady load, while something is taken away from
//! them. What they did stands in ledgers outside of Postgres, and an oracle compares those with what the database
//! says at the end. `list` says which faults there are; `run --long` runs each as often and as long as its table has it.

mod args;
mod checker;
mod child;
mod clock;
mod faults;
mod ledger;
mod proxy;
mod report;
mod server;
mod stand;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{Args, Command};

/// What can go wrong here ends a fault with its text: each says which step it was.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("RUST_LOG")
                .unwrap_or_else(|_| "off".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let command = Args::parse().command;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(obey(command));
    // A handler that never yields must not keep a process that has done everything else.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

async fn obey(command: Command) -> ExitCode {
    let done = match command {
        Command::List => {
            report::list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => faults::run(run).await,
        Command::Child { order } => child::run(&order).await.map(ExitCode::from),
    };
    done.unwrap_or_else(|failure| failed(&*failure))
}

/// A failure with what caused it.
fn causes(failure: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(failure), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

fn failed(failure: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("vulkan-faults: {}", causes(failure));
    ExitCode::FAILURE
}
