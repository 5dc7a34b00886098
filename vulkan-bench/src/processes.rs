//! What processes have used, as Linux counts it. Elsewhere it is not known.

/// CPU seconds and memory of this process since it began.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Used {
    pub(crate) cpu_seconds: Option<f64>,
    /// The most memory that was ever resident.
    pub(crate) peak_bytes: Option<u64>,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::Path;

    use procfs::process::{Process, Stat, all_processes};

    use super::Used;

    fn cpu(stat: &Stat) -> f64 {
        // Lossless in any run that somebody waits for.
        (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
    }

    pub(crate) fn own() -> Used {
        let Ok(this) = Process::myself() else {
            return Used::default();
        };
        Used {
            cpu_seconds: this.stat().ok().map(|stat| cpu(&stat)),
            peak_bytes: (this.status().ok())
                .and_then(|status| status.vmhwm)
                .map(|kilobytes| kilobytes * 1024),
        }
    }

    /// The CPU seconds of another process.
    pub(crate) fn cpu_of(id: u32) -> Option<f64> {
        let stat = Process::new(id.try_into().ok()?).ok()?.stat().ok()?;
        Some(cpu(&stat))
    }

    /// The CPU seconds of a server: its postmaster, the processes of it that live, and those that have ended.
    pub(crate) fn server_cpu(data: &Path) -> Option<f64> {
        let pid_file = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let postmaster: i32 = pid_file.lines().next()?.trim().parse().ok()?;
        let stat = Process::new(postmaster).ok()?.stat().ok()?;
        let ended = (stat.cutime + stat.cstime) as f64 / procfs::ticks_per_second() as f64;
        let living: f64 = all_processes()
            .ok()?
            .filter_map(|process| process.ok()?.stat().ok())
            .filter(|stat| stat.ppid == postmaster)
            .map(|stat| cpu(&stat))
            .sum();
        Some(cpu(&stat) + ended + living)
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{cpu_of, own, server_cpu};

#[cfg(not(target_os = "linux"))]
pub(crate) fn own() -> Used {
    Used::default()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_of(_: u32) -> Option<f64> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn server_cpu(_: &std::path::Path) -> Option<f64> {
    None
}
