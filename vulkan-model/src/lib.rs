//! Models of the protocols that Vulkan's SQL follows, small enough for every interleaving of their steps to be explored.
//!
//! A step is what one statement does, or one lock: what happens between two statements of a transaction happens here, too. Each model is told
//! twice: as it is, where the checker must find nothing, and with a flaw in it, where it must find a counterexample. So it is known that the
//! properties would notice. There is nothing here but tests: `cargo test -p vulkan-model`.

/// One message without a key.
#[cfg(test)]
mod claims;
/// What the tests of all models do.
#[cfg(test)]
mod explore;
/// The last stable offset.
#[cfg(test)]
mod horizon;
/// The rows of a key, the one that counts among those that were left.
#[cfg(test)]
mod keys;
/// One partition key, with several messages.
#[cfg(test)]
mod lanes;
