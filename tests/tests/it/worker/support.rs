//! What the tests of the worker share.

mod crew;
mod gate;
mod handler;
mod process;
mod proxy;
mod stand;

pub(crate) use crew::Running;
pub(crate) use gate::{Gate, Keeper};
pub(crate) use handler::{Answer, On, on, options};
pub(crate) use process::Process;
pub(crate) use proxy::Proxy;
pub(crate) use stand::{Stand, until};
