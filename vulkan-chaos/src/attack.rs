//! What can be done to lose a message.

mod grip;
mod hold;
mod outage;
mod zombie;

use std::sync::Arc;

use rustix::process::Signal;
use vulkan::{DryRun, Redrive};

pub(crate) use grip::Grip;

use crate::Result;
use crate::board::in_short;
use crate::order::{GROUPS, STREAM};
use crate::server::{How, State};
use crate::stage::Stage;
use crate::worker::Told;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    Kill,
    Crash,
    Fail,
    Zombie,
    Restart,
    Unplug,
    Hold,
    Snapshot,
    /// No attack: what it does is the way back for the dead.
    Redrive,
}

impl Attack {
    pub(crate) const ALL: [Self; 9] = [
        Self::Kill,
        Self::Crash,
        Self::Fail,
        Self::Zombie,
        Self::Restart,
        Self::Unplug,
        Self::Hold,
        Self::Snapshot,
        Self::Redrive,
    ];

    pub(crate) fn key(self) -> char {
        match self {
            Self::Kill => 'k',
            Self::Crash => 'c',
            Self::Fail => 'f',
            Self::Zombie => 'z',
            Self::Restart => 'r',
            Self::Unplug => 'u',
            Self::Hold => 'h',
            Self::Snapshot => 's',
            Self::Redrive => 'd',
        }
    }

    /// For the line of keys.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill a worker",
            Self::Crash => "crash in a transaction",
            Self::Fail => "fail at random",
            Self::Zombie => "zombie",
            Self::Restart => "restart Postgres",
            Self::Unplug => "unplug it",
            Self::Hold => "hold a publisher",
            Self::Snapshot => "hold a snapshot",
            Self::Redrive => "redrive the dead",
        }
    }

    /// Does it, and returns when it is over. Tells what keeps it from happening.
    pub(crate) async fn play(self, stage: &Arc<Stage>) -> bool {
        let Err(error) = self.done_to(stage).await else {
            return true;
        };
        let why = match stage.server.state() {
            State::Up => in_short(&*error),
            State::Away(..) => "there is no Postgres just now".into(),
        };
        stage.news.tell(format!("{}: {why}", self.label()));
        false
    }

    async fn done_to(self, stage: &Arc<Stage>) -> Result<()> {
        let news = &stage.news;
        match self {
            Self::Kill => {
                let member = stage.crew.somebody().await;
                news.tell(format!("kill -9: worker {}", member.seen().nth));
                member.signal(Signal::KILL);
                member.gone().await;
            }
            Self::Crash => {
                let member = stage.crew.somebody().await;
                let nth = member.seen().nth;
                news.tell(format!("worker {nth} is to die in its next payment"));
                member.tell(Told::Crash);
                member.gone().await;
            }
            Self::Fail => news.tell(match stage.crew.toggle_failing() {
                true => "from now on 4 of 10 attempts fail",
                false => "handlers no longer fail",
            }),
            Self::Zombie => zombie::play(stage).await?,
            Self::Restart => outage::play(stage, How::Fast).await?,
            Self::Unplug => outage::play(stage, How::Immediate).await?,
            Self::Hold => hold::publisher(stage).await?,
            Self::Snapshot => hold::snapshot(stage).await?,
            Self::Redrive => redrive(stage).await?,
        }
        Ok(())
    }
}

async fn redrive(stage: &Stage) -> Result<()> {
    let mut redriven = 0;
    for group in GROUPS {
        redriven += stage
            .client
            .redrive(STREAM, group, Redrive::default(), DryRun::No)
            .await?;
    }
    stage.news.tell(match redriven {
        0 => "there are no dead messages to redrive".into(),
        many => {
            format!("{many} dead messages are handed out again, with a fresh budget of attempts")
        }
    });
    Ok(())
}
