//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Try to lose a message.
///
/// Starts a private Postgres, a producer and three worker processes, and lets you kill, crash, freeze and restart them, while a
/// scoreboard tells what became of every message. Every number on it is SQL, which it shows.
///
/// Exit code: 0 if no message was lost, no transactional effect happened twice and (with --script) every rule of the engine holds, 1 if not, 2 if
/// it could not be told; 128 and its number after a signal.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Play all attacks without a terminal, print what happens, and end.
    #[arg(long)]
    pub(crate) script: bool,
    /// With --script: less of everything, in about 20 seconds.
    #[arg(long, requires = "script")]
    pub(crate) quick: bool,
    /// How many messages there are at the beginning. Unless given 5000, with --quick 600.
    #[arg(long, value_name = "N")]
    pub(crate) messages: Option<u64>,
    /// How many messages a second come after that, in all. 0 is none.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=2000))]
    pub(crate) rate: u64,
    /// For the tests of what is left behind: the key `!` panics here.
    #[arg(long, hide = true)]
    pub(crate) panics: Option<Panics>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Args {
    pub(crate) fn messages(&self) -> u64 {
        self.messages.unwrap_or(if self.quick { 600 } else { 5000 })
    }
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Panics {
    /// In what draws and reads the keys.
    Here,
    /// In an attack, which runs beside.
    Beside,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// A worker process; the program starts it.
    #[command(hide = true)]
    Work(Work),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct Work {
    /// The database.
    #[arg(long)]
    pub(crate) url: String,
    /// What the worker calls itself.
    #[arg(long)]
    pub(crate) name: String,
    /// The file to write down every handled message in.
    #[arg(long)]
    pub(crate) ledger: PathBuf,
}
