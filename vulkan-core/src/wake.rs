use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Client;

/// How long a silent connection is trusted before it is asked whether it still lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long it may take to answer before it is replaced.
const ANSWER: Duration = Duration::from_secs(5);
/// Delays between attempts to connect: doubled from the first to the last.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

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
        let ear = Ear {
            client: client.clone(),
            streams,
            armed: armed_rx,
            listening: listening_tx,
            rung: Arc::clone(&rung),
            holds: false,
            holds_all: false,
        };
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

/// The task behind a bell.
struct Ear {
    client: Client,
    streams: Vec<i32>,
    armed: watch::Receiver<bool>,
    listening: watch::Sender<Listening>,
    rung: Arc<Rung>,
    /// This connection holds a bell.
    holds: bool,
    /// It holds the bells of all its streams: none is left to another process.
    holds_all: bool,
}

impl Ear {
    async fn listen(mut self) {
        let mut delay = RECONNECT.0;
        loop {
            match timeout(ANSWER, self.connect()).await {
                Ok(Ok(listener)) => {
                    delay = RECONNECT.0;
                    self.holds = false;
                    self.holds_all = false;
                    self.listening.send_replace(Listening::Unarmed);
                    // What was published while nobody listened was not heard.
                    self.rung.ring(self.streams.iter().copied());
                    let error = self.hear(listener).await;
                    tracing::warn!(error = error.as_deref(), "the listener lost its connection");
                }
                Ok(Err(error)) => tracing::debug!(%error, "the listener cannot connect"),
                Err(_) => tracing::debug!("the listener cannot connect in time"),
            }
            self.listening.send_replace(Listening::Deaf);
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RECONNECT.1);
        }
    }

    async fn connect(&self) -> sqlx::Result<PgListener> {
        let options = self.client.pool().connect_options();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with((*options).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen("vulkan").await?;
        Ok(listener)
    }

    /// Hears until the connection is lost, and says what of.
    async fn hear(&mut self, mut listener: PgListener) -> Option<String> {
        self.armed.mark_changed();
        // Kept across arming, which can come more often than the heartbeat and mostly asks the server nothing.
        let mut alive = Instant::now();
        loop {
            tokio::select! {
                heard = timeout_at(alive + HEARTBEAT, listener.try_recv()) => match heard {
                    Ok(Ok(Some(notification))) => {
                        alive = Instant::now();
                        let stream = notification.payload().parse().ok();
                        self.rung.ring(stream.filter(|stream| self.streams.contains(stream)));
                    }
                    Ok(Ok(None)) => return None,
                    Ok(Err(error)) => return Some(error.to_string()),
                    Err(_) => match timeout(ANSWER, sqlx::query("SELECT 1").execute(&mut listener)).await {
                        Ok(Ok(_)) => alive = Instant::now(),
                        Ok(Err(error)) => return Some(error.to_string()),
                        Err(_) => return Some("no sign of life".into()),
                    },
                },
                changed = self.armed.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                    if let Err(error) = self.set_arms(&mut listener).await {
                        return Some(error);
                    }
                }
            }
        }
    }

    async fn set_arms(&mut self, listener: &mut PgListener) -> Result<(), String> {
        let wanted = *self.armed.borrow_and_update();
        let was = *self.listening.borrow();
        let now = match (wanted, was) {
            // Again while another process has one of them: it may have hung up by now.
            (true, _) if !self.holds_all => {
                let held: Vec<bool> = answer(
                    sqlx::query_scalar(include_str!("../queries/arm_bell.sql"))
                        .bind(&self.streams)
                        .fetch_all(listener),
                )
                .await?;
                self.holds |= held.contains(&true);
                self.holds_all = held.iter().all(|held| *held);
                Listening::Armed
            }
            (false, Listening::Armed) => {
                if self.holds {
                    answer(
                        sqlx::query(include_str!("../queries/disarm_bell.sql")).execute(listener),
                    )
                    .await?;
                }
                self.holds = false;
                self.holds_all = false;
                Listening::Unarmed
            }
            _ => return Ok(()),
        };
        if now != was {
            self.listening.send_replace(now);
        }
        Ok(())
    }
}

async fn answer<T>(call: impl Future<Output = sqlx::Result<T>>) -> Result<T, String> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no sign of life".into()),
    }
}
