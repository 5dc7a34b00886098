//! Signals to processes.

use rustix::process::{Pid, Signal, getpid, kill_process, set_parent_process_death_signal};

use crate::Result;

/// Sends a signal to a child that has not been waited for, whose id therefore is nobody else's.
pub(crate) fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("0 is no process")?;
    Ok(kill_process(pid, signal)?)
}

/// Ends this process as `kill -9` does: nothing is finished and nobody is told.
pub(crate) fn die() {
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Stops this process, every thread of it, until somebody sends SIGCONT.
pub(crate) fn freeze() {
    let _ = kill_process(getpid(), Signal::STOP);
}

/// Has this process killed when its parent dies, even if it is frozen then and cannot see it.
pub(crate) fn die_with_parent() {
    if cfg!(any(target_os = "linux", target_os = "android")) {
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
}
