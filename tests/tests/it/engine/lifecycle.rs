//! What becomes of a message between claim and done.

/// Messages given up by an operator: waiting, and in work.
mod cancel;
/// Several messages done in one transaction of their handler.
mod complete;
/// Few events at the end of the log.
mod end_of_log;
/// Leases: extended, lost, reaped; what comes back is handed out alone.
mod leases;
/// Pause, skip, redrive.
mod operate;
/// Whether a message was handed out before, whatever its attempt says.
mod past;
/// A group set to another position.
mod replay;
/// What a group binds.
mod routing;
/// Outcomes, attempts, delays, and the fence against late settlements.
mod settle;
/// `vulkan.deliveries`: what it costs to look.
mod shown;
