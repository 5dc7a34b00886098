//! What operators do: look, redrive, replay, skip, cancel, pause, drain.

mod cancel;
mod doctor;
mod inspect;
mod overview;
mod pause;
mod redrive;
mod replay;
mod workers;

pub use doctor::Diagnosis;
pub use inspect::{Inspected, Status};
pub use overview::GroupOverview;
pub use redrive::Redrive;
pub use replay::Replayed;
pub use workers::{LiveWorker, ServedHandler, WorkerState};

/// Whether to do a thing, or only to count what it would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DryRun {
    /// Do it.
    #[default]
    No,
    /// Count, and change nothing.
    Yes,
}
