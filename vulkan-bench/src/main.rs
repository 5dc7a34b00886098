//! Measures Vulkan: `cargo run --release -p vulkan-bench -- run`.
//!
//! Every target is a ratio of two things measured in turn, in one run, on one server, so that it means the same on any
//! machine. `list` says what there is to measure; see `README.md` beside this crate for how it is measured.

mod adapter;
mod args;
mod bench;
mod clock;
mod fill;
mod meter;
mod order;
mod outcome;
mod peer;
mod processes;
mod report;
mod scenario;
mod server;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{Args, Command};

/// What can go wrong here ends the program with its text: each says which step it was.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let command = Args::parse().command;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(obey(command));
    // A name server that gives no answer holds a thread that nothing can end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

async fn obey(command: Command) -> ExitCode {
    let done = match command {
        Command::List => {
            scenario::list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => bench::run(run).await,
        Command::Adapter => Ok(adapter::run().await),
        Command::Work { order } => worker::child::run(&order).await,
    };
    done.unwrap_or_else(|failure| failed(&*failure))
}

fn failed(failure: &dyn std::error::Error) -> ExitCode {
    eprintln!("vulkan-bench: {failure}");
    ExitCode::FAILURE
}
