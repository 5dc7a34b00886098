//! The SQL engine.

/// Appending to the log: transactions, dedup ids, names and kinds.
mod publish;
