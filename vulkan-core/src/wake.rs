mod ear;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Client;
use ear::Ear;

/// Wakes a sleeper when something is published to one of its streams.
///
/// A connection of its own listens on the channel `vulkan`. While armed, it holds the bells of its
/// streams (advisory locks that publishers look for), so that publishers know somebody sleeps; under
/// load nobody does, and no notification is sent at all. The connection is asked for a sign of life
/// every ten seconds and replaced when it gives none, or breaks.
///
/// A bell is a hint and can be missed: look for work yourself now and then, too. Through a
/// transaction pooler it does not work, and everything else does.
#[derive(Debug)]
#[must_use = "a bell that is dropped no longer listens"]
pub struct Bell {
    armed: watch::Sender<bool>,
    listening: watch::Receiver<Listening>,
    rung: Arc<Rung>,
    _task: Option<AbortOnDropHandle<()>>,
}

/// The streams that rang and that nobody has asked for yet.
#[derive(Debug, Default)]
struct Rung {
    streams: Mutex<BTreeSet<i32>>,
    notify: Notify,
    /// A recurring event was changed.
    schedules: Arc<Notify>,
}

impl Rung {
    fn ring(&self, streams: impl IntoIterator<Item = i32>) {
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(streams);
        self.notify.notify_one();
    }

    fn take(&self) -> BTreeSet<i32> {
        std::mem::take(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a [`Bell`] can hear at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Nothing: there is no connection.
    Deaf,
    /// Nothing for sure: it was not armed, or is about to be.
    Unarmed,
    /// Every publish to its streams. Where another sleeping process holds a bell, as long as that sleeps.
    Armed,
}

impl Bell {
    /// Starts listening for the given streams, in the background, until dropped.
    pub fn new(client: &Client, streams: Vec<i32>) -> Self {
        let (armed, armed_rx) = watch::channel(false);
        let (listening_tx, listening) = watch::channel(Listening::Deaf);
        let rung = Arc::<Rung>::default();
        let ear = Ear::new(
            client.clone(),
            streams,
            armed_rx,
            listening_tx,
            Arc::clone(&rung),
        );
        Self {
            armed,
            listening,
            rung,
            _task: Some(AbortOnDropHandle::new(tokio::spawn(ear.listen()))),
        }
    }

    /// A bell that never rings, for who looks for work by polling alone.
    pub fn silent() -> Self {
        Self {
            armed: watch::Sender::new(false),
            listening: watch::Sender::new(Listening::Deaf).subscribe(),
            rung: Arc::default(),
            _task: None,
        }
    }

    /// Asks to be rung for, before going to sleep. Look for work once more after
    /// [`listening`](Self::listening) says [`Listening::Armed`]: what was published before is not rung for.
    pub fn arm(&self) {
        self.armed.send_replace(true);
    }

    /// Asks not to be rung for: there is enough to do.
    pub fn disarm(&self) {
        self.armed
            .send_if_modified(|armed| std::mem::replace(armed, false));
    }

    /// What can be heard now.
    pub fn listening(&self) -> watch::Receiver<Listening> {
        self.listening.clone()
    }

    /// Waits until the bell rings, or is armed, which is worth a look as well; not longer than `at_most`.
    pub(crate) async fn asleep(
        &self,
        listening: &mut watch::Receiver<Listening>,
        at_most: Duration,
    ) {
        self.arm();
        tokio::select! {
            _ = self.rung() => {}
            Ok(()) = listening.changed() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }

    /// Notified when a recurring event was made, changed or resumed, armed or not, and when that may have
    /// gone unheard.
    pub fn schedules(&self) -> Arc<Notify> {
        Arc::clone(&self.rung.schedules)
    }

    /// Waits for the bell, and says which streams rang. A ring while nobody waits is kept for the next
    /// one who does; after a lost connection all streams count as rung.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn rung(&self) -> BTreeSet<i32> {
        loop {
            self.rung.notify.notified().await;
            let streams = self.rung.take();
            if !streams.is_empty() {
                return streams;
            }
        }
    }
}
