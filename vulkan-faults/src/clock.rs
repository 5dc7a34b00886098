//! The two clocks of a ledger.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Microseconds of the clock that only goes forward, the same for all processes of this machine.
///
/// Asked of the kernel itself: a process under `faketime` has the true one, too.
pub(crate) fn mono_us() -> u64 {
    micros(clock_gettime(ClockId::Monotonic))
}

/// Microseconds since 1970, as this machine has them.
pub(crate) fn wall_us() -> u64 {
    micros(clock_gettime(ClockId::Realtime))
}

/// How many seconds the clock that this process has by its library is ahead of the machine's.
pub(crate) fn ahead() -> i64 {
    let own = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let own = own.map_or(0, |since| since.as_secs());
    own.cast_signed() - (wall_us() / 1_000_000).cast_signed()
}

fn micros(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1_000_000 + nanos / 1000
}

/// A duration in microseconds.
pub(crate) fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds as seconds.
pub(crate) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
