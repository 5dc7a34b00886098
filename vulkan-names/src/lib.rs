//! The small vocabulary that the rest of Vulkan agrees on.
//!
//! A stream name written in `#[handler(stream = "orders")]` is checked by the compiler,
//! one read from a configuration file is checked at start-up, and both must obey the same rule.
//! The rule therefore stands here once, in a crate without dependencies
//! that the macros and the runtime share.
//!
//! | What | Rule | Type |
//! |---|---|---|
//! | stream, group | 1 to 128 of `a-z 0-9 . _ -`, beginning with a letter or digit | [`StreamName`], [`GroupName`] |
//! | kind of an event | 1 to 256 bytes, segments of `A-Z a-z 0-9 _ -` joined by dots | [`Kind`] |
//! | pattern over kinds | a kind in which `*` is any one segment and a last `>` any remaining ones | [`KindPattern`] |
//! | duration | numbers with a unit, the largest first: `500ms`, `30s`, `1m30s`, `7d` | [`parse_duration`] |
//! | backoff | a first delay and a longest one: `2s..5m` | [`Backoff`] |
//! | rate | a number and a time: `100/s`, `6000/m` | [`Rate`] |
//! | circuit breaker | `50% of 20 in 1m, pause 30s..10m, probe 1` | [`Breaker`] |
//! | start of a new group | `earliest` or `latest` | [`Start`] |
//!
//! ```
//! use vulkan_names::{GroupName, KindPattern, parse_duration};
//!
//! let group: GroupName = "fraud".parse()?;
//! assert_eq!(group.as_ref(), "fraud");
//!
//! let error = "Fraud".parse::<GroupName>().unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     r#"group name "Fraud" contains 'F' at byte 0: use a-z, 0-9, '.', '_' or '-'"#,
//! );
//!
//! let paid: KindPattern = "order.*.paid".parse()?;
//! assert!(paid.matches("order.42.paid"));
//!
//! assert_eq!(parse_duration("1m30s")?.as_secs(), 90);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod breaker;
mod duration;
mod error;
mod key;
mod kind;
mod name;
mod newtype;
mod pattern;
mod rate;
mod start;

pub use backoff::{Backoff, BackoffError};
pub use breaker::{Breaker, BreakerError};
pub use duration::{DurationError, MAX_DURATION, parse_duration};
pub use error::{NameError, Problem, Subject};
pub use key::{HANDLER_KEYS, Key};
pub use kind::{MAX_KIND_LEN, check_kind};
pub use name::{MAX_NAME_LEN, check_name};
pub use newtype::{GroupName, Kind, KindPattern, StreamName};
pub use pattern::{check_pattern, pattern_covers, pattern_matches};
pub use rate::{Rate, RateError};
pub use start::{Start, StartError};

/// The most retries a group may be given.
///
/// With the default longest delay of ten minutes this keeps a message alive for a week,
/// which is beyond any outage worth waiting out; a larger number is almost always a typo.
pub const MAX_RETRIES: u32 = 1000;
