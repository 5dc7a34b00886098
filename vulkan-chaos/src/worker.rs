//! A worker process: an ordinary worker of two handlers, and a line of orders that get it into trouble.

mod handlers;
mod trouble;

use std::io::BufRead;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use vulkan::{Client, Worker};

use trouble::Trouble;
pub(crate) use trouble::{Held, Said};

use crate::args::Work;
use crate::ledger::Ledger;
use crate::{Result, process};

/// How long a message stays with a worker that gives no sign of life.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// What a worker process can be told, a word a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// From now on, handlers fail at random.
    Fail,
    /// No longer.
    Behave,
    /// Die in the next transaction, after its write and before its commit.
    Crash,
    /// Stop in the midst of a message of each group.
    Freeze,
}

impl Told {
    const ALL: [Self; 4] = [Self::Fail, Self::Behave, Self::Crash, Self::Freeze];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Behave => "behave",
            Self::Crash => "crash",
            Self::Freeze => "freeze",
        }
    }
}

/// Works until it is killed, or until its parent is gone.
pub(crate) async fn run(work: Work) -> Result<ExitCode> {
    process::die_with_parent();
    let trouble = Arc::new(Trouble::new(Ledger::open(&work.ledger)?));
    listen(Arc::clone(&trouble));
    let options: PgConnectOptions = work.url.parse()?;
    let pool = PgPoolOptions::new()
        // One for each transaction of a handler, and what the worker needs.
        .max_connections(20)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy_with(options.application_name(&work.name));
    trouble::say(&Said::Ready);
    let worker = Worker::builder(Client::new(pool))
        .state(trouble)
        .name(work.name)
        .register_with(handlers::send_email, |options| options.lease(LEASE))
        .register_with(handlers::book_payment, |options| options.lease(LEASE));
    worker.run(vulkan::shutdown_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Reads orders on a thread of its own, since nothing else can wait for the end of the input.
fn listen(trouble: Arc<Trouble>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let told = Told::ALL.into_iter().find(|told| told.word() == line);
            if let Some(told) = told {
                trouble.told(told);
            }
        }
        // Only the parent holds the other end, so the parent is gone.
        process::die();
    });
}
