//! Reading a stream: bare, or as the active reader of a cursor group.

mod event;
mod page;
mod reader;
mod seat;
mod tail;

pub use event::LogEvent;
pub use reader::{Reader, ReaderEvents};
