//! What the tests of the worker share.

mod gate;
mod handler;
mod process;
mod proxy;
mod stand;

pub(crate) use gate::{Gate, Keeper};
pub(crate) use handler::{Answer, On, on, options, waits_at};
pub(crate) use process::Process;
pub(crate) use proxy::Proxy;
pub(crate) use stand::Stand;
pub(crate) use vulkan_testing::{Running, until};
