//! The SQL engine.

/// The last stable offset: what readers may see, and when.
mod horizon;
/// Claim, settle, reap, and what operators do.
mod lifecycle;
/// Appending to the log: transactions, dedup ids, names and kinds.
mod publish;
/// Random histories, held against a model after every step.
mod random;
