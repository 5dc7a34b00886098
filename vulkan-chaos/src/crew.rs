//! The three worker processes. One that dies is started again after a moment.

mod life;
mod member;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use rand::RngExt;
use rustix::process::Signal;
use tokio::task::JoinHandle;

pub(crate) use life::NAP;
pub(crate) use member::{Doing, Member, Seen};

use crate::Result;
use crate::news::News;
use crate::worker::Told;

pub(crate) const MEMBERS: usize = 3;
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<Arc<Member>>,
    lives: Vec<JoinHandle<()>>,
    /// Handlers fail at random, in processes to come too.
    failing: Arc<AtomicBool>,
}

impl Crew {
    pub(crate) fn start(url: &str, ledgers: &Path, news: &News) -> Result<Self> {
        let failing = Arc::new(AtomicBool::new(false));
        let (mut members, mut lives) = (Vec::new(), Vec::new());
        for nth in 1..=MEMBERS {
            let (member, life) =
                Member::start(nth, url, ledgers, news.clone(), Arc::clone(&failing))?;
            members.push(Arc::new(member));
            lives.push(tokio::spawn(life));
        }
        Ok(Self {
            members,
            lives,
            failing,
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.members.iter().map(|member| member.seen()).collect()
    }

    /// One of those that are at work, by chance. Waits until there is one.
    pub(crate) async fn somebody(&self) -> Arc<Member> {
        loop {
            let at_work = |member: &&Arc<Member>| matches!(member.seen().doing, Doing::Working);
            let working: Vec<_> = self.members.iter().filter(at_work).collect();
            let chosen = rand::rng().random_range(0..working.len().max(1));
            match working.get(chosen) {
                Some(member) => return Arc::clone(member),
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(SeqCst)
    }

    /// Has handlers fail at random, or no longer. Returns whether they do now.
    pub(crate) fn toggle_failing(&self) -> bool {
        let failing = !self.failing.fetch_xor(true, SeqCst);
        let told = if failing { Told::Fail } else { Told::Behave };
        for member in &self.members {
            member.tell(told);
        }
        failing
    }

    /// Kills all of them for good.
    pub(crate) async fn end(self) {
        for member in &self.members {
            member.end();
            // A frozen process dies of this, too.
            member.signal(Signal::KILL);
        }
        for life in self.lives {
            let _ = life.await;
        }
    }
}
