use std::sync::Arc;
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
pub struct Bell {
    armed: watch::Sender<bool>,
    listening: watch::Receiver<Listening>,
    rung: Arc<Notify>,
    _task: Option<AbortOnDropHandle<()>>,
}

/// What a [`Bell`] can hear at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Nothing: there is no connection.
    Deaf,
    /// What publishers ring for others.
    Unarmed,
    /// Every publish to its streams.
    Armed,
}

impl Bell {
    /// Starts listening for the given streams, in the background, until dropped.
    pub fn new(client: &Client, streams: Vec<i32>) -> Self {
        let (armed, armed_rx) = watch::channel(false);
        let (listening_tx, listening) = watch::channel(Listening::Deaf);
        let rung = Arc::new(Notify::new());
        let ear = Ear {
            client: client.clone(),
            streams,
            armed: armed_rx,
            listening: listening_tx,
            rung: Arc::clone(&rung),
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

    /// Waits for the bell. A ring while nobody waits is kept for the next one who does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }
}

/// The task behind a bell.
struct Ear {
    client: Client,
    streams: Vec<i32>,
    armed: watch::Receiver<bool>,
    listening: watch::Sender<Listening>,
    rung: Arc<Notify>,
}

impl Ear {
    async fn listen(mut self) {
        let mut delay = RECONNECT.0;
        loop {
            match timeout(ANSWER, self.connect()).await {
                Ok(Ok(listener)) => {
                    delay = RECONNECT.0;
                    self.listening.send_replace(Listening::Unarmed);
                    // What was published while nobody listened was not heard.
                    self.rung.notify_one();
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
        // By this moment it has to give a sign of life. Kept across the turns of the loop: who arms
        // the bell again and again must not put it off.
        let mut due = Instant::now() + HEARTBEAT;
        loop {
            tokio::select! {
                heard = timeout_at(due, listener.try_recv()) => match heard {
                    Ok(Ok(Some(notification))) => {
                        due = Instant::now() + HEARTBEAT;
                        if notification.payload().parse().is_ok_and(|stream| self.streams.contains(&stream)) {
                            self.rung.notify_one();
                        }
                    }
                    Ok(Ok(None)) => return None,
                    Ok(Err(error)) => return Some(error.to_string()),
                    Err(_) => match timeout(ANSWER, sqlx::query("SELECT 1").execute(&mut listener)).await {
                        Ok(Ok(_)) => due = Instant::now() + HEARTBEAT,
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
        let armed = *self.listening.borrow() == Listening::Armed;
        let now = match (wanted, armed) {
            (true, false) => {
                let held: Vec<bool> = answer(
                    sqlx::query_scalar(include_str!("../queries/arm_bell.sql"))
                        .bind(&self.streams)
                        .fetch_all(listener),
                )
                .await?;
                // A bell that another process holds is rung for us, too, as long as it sleeps.
                if held.iter().all(|held| *held) {
                    Listening::Armed
                } else {
                    Listening::Unarmed
                }
            }
            (false, true) => {
                answer(sqlx::query(include_str!("../queries/disarm_bell.sql")).execute(listener))
                    .await?;
                Listening::Unarmed
            }
            _ => return Ok(()),
        };
        self.listening.send_replace(now);
        Ok(())
    }
}

async fn answer<T>(call: impl Future<Output = sqlx::Result<T>>) -> Result<T, String> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no sign of life".into()),
    }
}
