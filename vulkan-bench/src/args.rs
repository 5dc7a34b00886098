//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand};

/// Measures Vulkan against Postgres itself and against other queues.
///
/// Starts a private Postgres, or takes the server of DATABASE_URL, on which it creates databases of its own.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists the scenarios.
    List,
    /// Measures: all scenarios, or those named.
    Run(Run),
    /// Takes part in the public long-horizon contest of Postgres job queues: configured by the environment, runs until SIGTERM.
    Adapter,
    /// A worker process of a measurement; `run` starts it.
    #[command(hide = true)]
    Work {
        /// What to do, as JSON.
        order: String,
    },
}

#[derive(ClapArgs)]
pub(crate) struct Run {
    /// The scenarios to measure, as `list` names them. Without any, all.
    pub(crate) scenarios: Vec<String>,
    /// Print a JSON document in place of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the results as a Markdown document.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<std::path::PathBuf>,
    /// Measure a peer beside Vulkan where a scenario knows how: a name of `benches/peers`, or `all`. May be repeated.
    #[arg(long, value_name = "PEER")]
    pub(crate) against: Vec<String>,
    /// Smaller and shorter, to see that everything works. Its figures mean little.
    #[arg(long)]
    pub(crate) quick: bool,
    /// How often each side is measured. By default 3, with --quick once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) turns: Option<u32>,
}
