//! A process of a run.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::Result;
use crate::child::Order;

/// Longer than any grace period here.
const END: Duration = Duration::from_secs(60);

/// A process of a run. Dropped, it is killed; should the run be killed, it ends with its input.
pub(crate) struct Process {
    pub(crate) pid: u32,
    child: Child,
    /// Closed, it ends.
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts this binary again with an order, under another program if one is given.
    pub(crate) fn start(order: &Order, under: &[&str]) -> Result<Self> {
        let own = std::env::current_exe()?;
        let mut command = match under {
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
            [] => Command::new(own),
        };
        let mut child = command
            .arg("child")
            .arg(serde_json::to_string(order)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            pid: child.id().ok_or("a process ended before it began")?,
            input: child.stdin.take(),
            child,
        })
    }

    /// Whether it has ended, and how.
    pub(crate) fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, which somebody else sees to.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        match timeout(END, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => Err(format!("process {} does not end", self.pid).into()),
        }
    }

    /// Asks it to end, and waits.
    pub(crate) async fn end(&mut self) -> Result<ExitStatus> {
        self.input = None;
        self.ended().await
    }

    /// CPU seconds that it has used.
    pub(crate) fn cpu(&self) -> Option<f64> {
        usage::cpu(self.pid)
    }

    /// Bytes resident.
    pub(crate) fn memory(&self) -> Option<u64> {
        usage::memory(self.pid)
    }
}

#[cfg(target_os = "linux")]
mod usage {
    use procfs::process::Process;

    fn of(pid: u32) -> Option<Process> {
        Process::new(pid.try_into().ok()?).ok()
    }

    pub(super) fn cpu(pid: u32) -> Option<f64> {
        let stat = of(pid)?.stat().ok()?;
        Some((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
    }

    pub(super) fn memory(pid: u32) -> Option<u64> {
        Some(of(pid)?.status().ok()?.vmrss? * 1024)
    }
}

#[cfg(not(target_os = "linux"))]
mod usage {
    pub(super) fn cpu(_: u32) -> Option<f64> {
        None
    }

    pub(super) fn memory(_: u32) -> Option<u64> {
        None
    }
}
