use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Tries to lose messages of Vulkan.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says which faults there are.
    List,
    /// Runs faults one after the other; exits with 1 unless all targets are met.
    Run(Run),
    /// A process of a run.
    #[command(hide = true)]
    Child {
        /// What to do, as JSON.
        order: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The faults, by name; all of them unless some are named.
    pub(crate) faults: Vec<String>,
    /// As often and as long as the table has it, which takes hours, instead of at most a minute each.
    #[arg(long)]
    pub(crate) long: bool,
    /// So much of the long form's counts and durations, such as 0.3; never less than the short form has.
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "long", value_parser = share)]
    pub(crate) scale: f64,
    /// Prints JSON, one line a fault.
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes the table as Markdown, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Events published a second.
    #[arg(long, default_value_t = 150.0)]
    pub(crate) rate: f64,
    /// How many faults run at a time, each on a server of its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Keeps ledgers, samples and the server's log here.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) keep: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if 0.0 < share && share <= 1.0 => Ok(share),
        _ => Err("it is a number above 0 and up to 1".into()),
    }
}
