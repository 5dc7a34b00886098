//! What the macros write, compiled and run; and what they say, compared.

mod arguments;
mod attributes;
mod batches;
mod event;
mod options;
mod outcome;
mod registry;
mod ui;
