//! What operators do: look, redrive, replay, skip, pause.

mod inspect;
mod overview;
mod pause;
mod redrive;
mod replay;

pub use inspect::{Inspected, Status};
pub use overview::GroupOverview;
pub use redrive::Redrive;
pub use replay::Replayed;

/// Whether to do a thing, or only to count what it would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DryRun {
    /// Do it.
    #[default]
    No,
    /// Count, and change nothing.
    Yes,
}
