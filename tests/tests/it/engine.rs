//! The SQL engine.

/// The schema itself: comments, the promised queries, housekeeping.
mod catalog;
/// How far a handler came: saved, found again, forgotten.
mod checkpoints;
/// What check() notices.
mod checks;
/// Bare cursors: who reads, and from where.
mod cursors;
/// The options that programs of several versions declare.
mod declarations;
/// While another session holds a snapshot: nothing looks past the rows that were there before.
mod held;
/// The last stable offset: what readers may see, and when.
mod horizon;
/// What two or three sessions do to a group at once, step by step.
mod interleavings;
/// Order by partition key.
mod lanes;
/// Claim, settle, reap, and what operators do.
mod lifecycle;
/// Limits of a group, over all its workers.
mod limits;
/// COPY into a stream's table: announced, rung for, whole or nothing.
mod loads;
/// Appending to the log: transactions, dedup ids, names and kinds.
mod publish;
/// Random histories, held against a model after every step.
mod random;
/// Recurring events: each tick once, whatever happens.
mod schedules;
/// Signs of life, drains, and who takes a kind.
mod workers;
