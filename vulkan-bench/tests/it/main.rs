//! The bench program, run as a program.

mod adapter;
mod run;
