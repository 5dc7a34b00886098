//! The worker: what runs handlers, tried through the public crate.

/// Several messages at once: together, alone, in order.
mod batch;
/// Mistakes in how a worker is put together, told all at once.
mod build;
/// Messages that an operator gives up while they are in work, and handlers that pay no heed.
mod cancelled;
/// How far a handler came, for the attempt after it.
mod checkpoints;
/// The database goes away, comes back, wakes and is left in peace.
mod database;
/// A server that forgets is told of.
mod doctor;
/// How fast a worker works off what is there.
mod drained_speed;
/// What a worker tells its listeners, and its log.
mod events;
/// What happens once, whatever fails: `Delivery::complete_in`.
mod exactly_once;
/// Errors, delays, panics, timeouts, payloads of every kind.
mod failures;
/// Workers as rows: seen, drained, of several versions.
mod fleet;
/// A connection that looks alive and is not.
mod half_open;
/// Publish, handle, done: groups, kinds, state, options.
mod handling;
/// Order per key, and nothing but that.
mod keyed;
/// Layers of `tower` around handlers.
mod layers;
/// Limits of a group, over all its workers.
mod limits;
/// Options changed where the program runs.
mod overrides;
/// A group that is paused under load, and wakes when it is resumed.
mod paused;
/// Whose messages get the slots of a process: priorities and weights.
mod priorities;
/// Workers that are processes: told to stop, killed, and killed by their messages.
mod processes;
/// A stream with one group as a plain job queue.
mod queue;
/// Whether a worker can do its work, as a probe asks.
mod readiness;
/// Secrets that errors do not give away.
mod redact;
/// One process after the other replaced under load.
mod rolling;
/// Recurring events, fired by whoever lives.
mod schedules;
/// Told to stop: what ends, what goes back, how fast.
mod shutdown;
/// Handlers slower than their lease, and workers that stall.
mod slow;

/// `Tx`: the transaction that also marks the message done.
mod tx;
/// Effects in a `Tx` while processes are killed in mid-transaction.
mod tx_killed;
/// Connections that fall silent while an answer is on its way.
#[cfg(target_os = "linux")]
mod unread;

/// Handlers made of closures, and workers that run until dropped.
pub(crate) mod support;
