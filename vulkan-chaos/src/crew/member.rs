//! A place in the crew, as attackers see it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::life::Life;
use crate::Result;
use crate::news::News;
use crate::worker::{Held, Told};

/// What a place looks like from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) nth: usize,
    pub(crate) pid: Option<u32>,
    pub(crate) doing: Doing,
    pub(crate) since: Instant,
    pub(crate) deaths: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Doing {
    Starting,
    Working,
    Frozen(Held),
    Dead,
}

#[derive(Debug)]
pub(super) enum Deed {
    Tell(Told),
    Signal(Signal),
    End,
}

#[derive(Debug)]
pub(crate) struct Member {
    seen: watch::Receiver<Seen>,
    deeds: UnboundedSender<Deed>,
}

impl Member {
    /// The place, and what has to run for as long as it lasts.
    pub(crate) fn start(
        nth: usize,
        url: &str,
        ledgers: &Path,
        news: News,
        failing: Arc<AtomicBool>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let (show, seen) = watch::channel(Seen {
            nth,
            pid: None,
            doing: Doing::Starting,
            since: Instant::now(),
            deaths: 0,
        });
        let (deeds, to_do) = unbounded_channel();
        let life = Life {
            nth,
            program: std::env::current_exe()?,
            url: url.to_owned(),
            ledgers: ledgers.to_owned(),
            news,
            failing,
            show,
        };
        Ok((Self { seen, deeds }, life.live(to_do)))
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }

    pub(crate) fn tell(&self, told: Told) {
        let _ = self.deeds.send(Deed::Tell(told));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = self.deeds.send(Deed::Signal(signal));
    }

    pub(crate) fn end(&self) {
        let _ = self.deeds.send(Deed::End);
    }

    /// Waits until the process that is there now is gone.
    pub(crate) async fn gone(&self) {
        let mut seen = self.seen.clone();
        let pid = self.seen().pid;
        let _ = seen.wait_for(|seen| seen.pid != pid).await;
    }

    /// Waits until it is frozen no longer.
    pub(crate) async fn awake(&self) {
        let mut seen = self.seen.clone();
        let awake = |seen: &Seen| !matches!(seen.doing, Doing::Frozen(_));
        let _ = seen.wait_for(awake).await;
    }

    /// Waits until it is frozen with messages in work, or gone.
    pub(crate) async fn frozen(&self) -> Option<Held> {
        let pid = self.seen().pid;
        let mut seen = self.seen.clone();
        let ended = |seen: &Seen| matches!(seen.doing, Doing::Frozen(_)) || seen.pid != pid;
        let seen = *seen.wait_for(ended).await.ok()?;
        match seen.doing {
            Doing::Frozen(held) => Some(held),
            _ => None,
        }
    }
}
