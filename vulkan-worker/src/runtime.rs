//! What runs the handlers: claims, executes, settles, keeps leases, shuts down.
//!
//! One task each, all over shared state and none in another's way:
//!
//! | Task | What it does | How many |
//! |---|---|---|
//! | [`claimer`] | claims batches of a group and hands them to runners | one a group |
//! | [`runner`] | runs handlers, one message after the other, each with a slot of the process | as many as there is work and slots for |
//! | [`settler`] | reports what became of the messages | one a group |
//! | [`lookout`] | wakes the claimers that sleep: by the bell, or by looking about once a second | one |
//! | [`keeper`] | extends the leases of what is still in work | one |
//! | [`housekeeping`] | reaps lost leases, rolls slots | two |
//! | [`scheduler`] | fires the recurring events that are due | one |
//! | [`pulse`] | gives signs of life, takes over changed options | one |
//! | [`orders`] | hears of cancelled messages and of a drain | one |
//! | [`watch`] | finds handlers that block their thread | one |
//!
//! What the tasks of a group share is its [`ledger`]; what all runners share, the [`slots`] of the process.
//! What happens is told as [`events`], of which [`log`] makes the log.

mod alone;
mod assigned;
mod builder;
mod claimer;
mod elsewhere;
mod ending;
mod error;
mod events;
mod execute;
mod failures;
mod group;
mod health;
mod housekeeping;
mod keeper;
mod ledger;
mod log;
mod lookout;
mod orders;
mod overrides;
mod pace;
mod patience;
mod pulse;
mod readiness;
mod recall;
mod redact;
mod registry;
mod runner;
mod scheduler;
mod settler;
mod shutdown;
mod slots;
mod trace;
mod watch;
mod worker;

pub use alone::{attempt, attempt_batch};
pub use builder::WorkerBuilder;
pub use error::{BuildError, Mistake, RunError};
pub use events::{Attempt, DatabaseCall, Interruption, WorkerEvent};
pub use overrides::Overrides;
pub use readiness::Readiness;
pub use shutdown::{IntoShutdown, Shutdown, shutdown_signal};
pub use worker::Worker;
