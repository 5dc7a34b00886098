//! Measures Vulkan: `cargo run --release -p vulkan-bench -- run`.
//!
//! Every target is a ratio of two things measured in turn, in one run, on one server, so that it means the same on any
//! machine. `list` says what there is to measure; see `README.md` beside this crate for how it is measured.

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

use clap::Parser;

use crate::args::{Args, Command};

/// What can go wrong here ends the program with its text: each says which step it was.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::List => {
            scenario::list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => bench::run(run).await,
        Command::Work { order } => worker::child::run(&order).await,
    };
    done.unwrap_or_else(|failure| {
        eprintln!("vulkan-bench: {failure}");
        ExitCode::FAILURE
    })
}
