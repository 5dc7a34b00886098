//! The examples of the guides, compiled and run as documentation tests.

#[cfg(doctest)]
mod guides;
