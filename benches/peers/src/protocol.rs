//! The lines that the bench program reads, and the meters of this process.

use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use procfs::process::Process;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Line<'a> {
    Ready {
        system: &'a str,
        version: &'a str,
        messages: u64,
    },
    Progress {
        at_us: u64,
        handled: u64,
    },
    Report {
        handled: u64,
        seconds: f64,
        cpu_seconds: f64,
        peak_bytes: u64,
    },
}

impl Line<'_> {
    /// Writes the line. Fails where no one reads any more, which ends this process
    /// when the program that drives it is gone.
    pub fn print(&self) -> Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        out.write_all(&line)
            .and_then(|()| out.flush())
            .context("cannot write to stdout")
    }
}

pub fn progress(handled: u64) -> Result<()> {
    let at_us = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    Line::Progress {
        at_us: u64::try_from(at_us)?,
        handled,
    }
    .print()
}

/// Waits for the line that says that the meters have been read.
pub async fn go() -> Result<()> {
    let mut line = String::new();
    let read = BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await
        .context("cannot read stdin")?;
    if read == 0 {
        bail!("stdin ended before the line that starts the run");
    }
    Ok(())
}

/// CPU seconds of this process until now.
pub fn cpu_seconds() -> Result<f64> {
    let stat = Process::myself()?.stat()?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of a few hours")]
    let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    Ok(seconds)
}

/// The most memory that this process has had resident.
pub fn peak_bytes() -> Result<u64> {
    let kib = Process::myself()?.status()?.vmhwm;
    Ok(kib.context("/proc/self/status has no VmHWM")? * 1024)
}
