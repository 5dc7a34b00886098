//! The processes of a place, one after the other.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::sleep;

use super::member::{Deed, Doing, Seen};
use crate::ledger::WORKER;
use crate::news::News;
use crate::worker::{LEASE, Said, Told};
use crate::{Result, process};

/// How long a frozen process stays so: others have what it held by then.
pub(crate) const NAP: Duration = LEASE.saturating_mul(2);
/// Between the death of a process and its successor.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Life {
    pub(super) nth: usize,
    pub(super) program: PathBuf,
    pub(super) url: String,
    pub(super) ledgers: PathBuf,
    pub(super) news: News,
    pub(super) failing: Arc<AtomicBool>,
    pub(super) show: watch::Sender<Seen>,
}

impl Life {
    pub(super) async fn live(self, mut deeds: UnboundedReceiver<Deed>) {
        for life in 1_u32.. {
            let ended = self.once(life, &mut deeds).await;
            self.show.send_modify(|seen| {
                seen.pid = None;
                seen.doing = Doing::Dead;
                seen.since = Instant::now();
                seen.deaths += 1;
            });
            match ended {
                Ok(None) => return,
                Ok(Some(status)) => self.mourn(life, status),
                Err(error) => self.news.tell(format!("worker {}: {error}", self.nth)),
            }
            sleep(PAUSE).await;
            // What was meant for the dead is not for the next one.
            while let Ok(deed) = deeds.try_recv() {
                if matches!(deed, Deed::End) {
                    return;
                }
            }
        }
    }

    fn spawn(&self, life: u32) -> Result<Child> {
        let errors = File::create(self.ledgers.join(self.errors(life)))?;
        let mut command = Command::new(&self.program);
        command
            .args(["work", "--url", &self.url])
            .args(["--name", &format!("{WORKER}{}", self.nth)])
            .arg("--ledger")
            .arg(self.ledgers.join(format!("{WORKER}{}-{life}", self.nth)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-c and ctrl-z are for us.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command.spawn()?)
    }

    fn errors(&self, life: u32) -> String {
        format!("{WORKER}{}-{life}.stderr", self.nth)
    }

    /// One process, from its start to its end. `None`: it was told to end for good.
    async fn once(
        &self,
        life: u32,
        deeds: &mut UnboundedReceiver<Deed>,
    ) -> Result<Option<ExitStatus>> {
        let mut child = self.spawn(life)?;
        let mut input = child.stdin.take().ok_or("it has no input")?;
        let output = child.stdout.take().ok_or("it has no output")?;
        let mut lines = BufReader::new(output).lines();
        self.show(Doing::Starting, child.id());
        if self.failing.load(SeqCst) {
            tell(&mut input, Told::Fail).await;
        }
        let mut heard = true;
        loop {
            let seen = *self.show.borrow();
            tokio::select! {
                // Whoever had it frozen, it does not stay so.
                () = sleep(NAP.saturating_sub(seen.since.elapsed())), if matches!(seen.doing, Doing::Frozen(_)) => {
                    self.thaw(&child)?;
                }
                line = lines.next_line(), if heard => match line {
                    Ok(Some(line)) => self.hear(serde_json::from_str(&line)?, child.id()),
                    _ => heard = false,
                },
                status = child.wait() => return Ok(Some(status?)),
                deed = deeds.recv() => match deed {
                    Some(Deed::Tell(told)) => tell(&mut input, told).await,
                    Some(Deed::Signal(signal)) => {
                        if let Some(pid) = child.id() {
                            process::send(pid, signal)?;
                        }
                    }
                    Some(Deed::End) | None => {
                        child.kill().await?;
                        return Ok(None);
                    }
                },
            }
        }
    }

    fn thaw(&self, child: &Child) -> Result<()> {
        if let Some(pid) = child.id() {
            process::send(pid, Signal::CONT)?;
        }
        self.show(Doing::Working, child.id());
        Ok(())
    }

    fn hear(&self, said: Said, pid: Option<u32>) {
        match said {
            Said::Ready => self.show(Doing::Working, pid),
            Said::Freezing(held) => self.show(Doing::Frozen(held), pid),
            Said::Crashing(offset) => self.news.tell(format!(
                "worker {} dies with payment {offset} written and not committed",
                self.nth
            )),
        }
    }

    fn show(&self, doing: Doing, pid: Option<u32>) {
        self.show.send_modify(|seen| {
            seen.pid = pid;
            seen.doing = doing;
            seen.since = Instant::now();
        });
    }

    fn mourn(&self, life: u32, status: ExitStatus) {
        if let Some(signal) = status.signal() {
            let nth = self.nth;
            let sentence = format!("worker {nth} is dead of signal {signal}; another comes");
            return self.news.tell(sentence);
        }
        let errors = std::fs::read_to_string(self.ledgers.join(self.errors(life)));
        let errors = errors.unwrap_or_default();
        let last = errors.lines().last().unwrap_or("it said nothing");
        self.news
            .tell(format!("worker {} has ended ({status}): {last}", self.nth));
    }
}

/// A process that cannot be told anything is about to be seen dead.
async fn tell(input: &mut tokio::process::ChildStdin, told: Told) {
    let line = format!("{}\n", told.word());
    let _ = input.write_all(line.as_bytes()).await;
}
