//! Try to lose a message: `cargo run --bin chaos`.
//!
//! A private Postgres, a producer and three worker processes, and keys that kill, crash, freeze and restart them. The
//! scoreboard is SQL, and each number shows its own. With `--script` the program attacks itself, and its exit code says
//! whether anything was lost.

mod args;
mod attack;
mod board;
mod crew;
mod hints;
mod ledger;
mod news;
mod number;
mod order;
mod panics;
mod play;
mod process;
mod producer;
mod say;
mod screen;
mod script;
mod server;
mod signals;
mod stage;
mod summary;
mod terminal;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::FutureExt;

use crate::args::{Args, Command};

/// What can go wrong here ends the program with its text: each says which step it was.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

/// Neither "nothing was lost" nor "something was".
const BROKEN: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    // One thread: a worker process dies with the thread that has started it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    // What runs in the background goes with the runtime, and with it all processes and files: after a panic, too.
    let code = match runtime.block_on(AssertUnwindSafe(obey(args)).catch_unwind()) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => failed(&*failure),
        Err(_) => ExitCode::from(BROKEN),
    };
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

async fn obey(args: Args) -> Result<ExitCode> {
    match args.command {
        Some(Command::Work(work)) => worker::run(work).await,
        None if args.script => script::run(&args).await,
        None if !(io::stdout().is_terminal() && io::stdin().is_terminal()) => Err(
            "its keys and its screen need a terminal, which this is not; `chaos --script` needs none: it plays all \
             attacks by itself, and prints lines"
                .into(),
        ),
        None => play::run(&args).await,
    }
}

fn failed(failure: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("chaos: {failure}\n");
    let mut cause = failure.source();
    while let Some(error) = cause {
        text += &format!("  because: {error}\n");
        cause = error.source();
    }
    // The terminal may be gone.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(BROKEN)
}
