//! Traces end to end: programs that export, and a receiver that reads what they export.

/// Publisher, worker and receiver, each on its own.
mod traces;

/// A receiver of OTLP, and programs that send to it.
mod support;
