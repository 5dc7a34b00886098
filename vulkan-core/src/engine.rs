//! What a worker asks of the engine: claim, settle, extend, reap, look, maintain.
//!
//! `vulkan-worker` is written on this and nothing else, and another worker can be. Each call is one
//! round trip and one short transaction; the comments of the SQL functions of the same name say
//! what each promises.

mod claim;
mod lease;
mod look;
mod settle;

pub use claim::Claimed;
pub use lease::{Held, Lost, Reaped};
pub use look::Look;
pub use settle::{Fate, Item, Outcome, Settlement, Verdict};
