//! Where the runtime opens and ends spans. Without the feature `telemetry` there is nothing in them.

#[cfg_attr(feature = "telemetry", path = "trace/on.rs")]
#[cfg_attr(not(feature = "telemetry"), path = "trace/off.rs")]
mod imp;

pub(super) use imp::Traces;
