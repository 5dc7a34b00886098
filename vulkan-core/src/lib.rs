//! .

mod event;

pub use event::{Event, PartitionKey};
pub use vulkan_names::{
    Backoff, BackoffError, DurationError, GroupName, Kind, KindPattern, MAX_RETRIES, NameError,
    Problem, Start, StartError, StreamName, Subject, check_kind, check_name, check_pattern,
    parse_duration, pattern_matches,
};

/// What the code written by `#[derive(Event)]` refers to. Not part of the public interface.
#[doc(hidden)]
pub mod __private;
