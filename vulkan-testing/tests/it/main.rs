//! Tests of the crate, by its public interface: each has a database of its own.

mod assertions;
mod batch;
mod call;
mod databases;
mod drain;
mod order;
mod support;
mod time;
