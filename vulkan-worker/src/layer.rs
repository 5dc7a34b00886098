//! Middleware: `tower` layers around handlers.

mod call;
mod service;
mod stack;

pub use call::HandlerCall;
pub use service::HandlerService;
pub(crate) use stack::Stack;

/// An error of any type, as layers of `tower` have it.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
