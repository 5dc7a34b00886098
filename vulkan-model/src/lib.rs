//! Models of the protocols that Vulkan's SQL follows, small enough for every interleaving of their steps to be explored.
//!
//! Each is told twice: as it is, where the checker must find nothing, and with a [`Flaw`](horizon::Flaw) in it, where it must find a
//! counterexample. So it is known that the properties would notice. Nothing depends on this crate; `cargo test -p vulkan-model` is
//! what it is for.

pub mod claims;
pub mod horizon;
pub mod lanes;

#[cfg(test)]
mod explore;
