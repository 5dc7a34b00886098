use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Listening, Rung};
use crate::client::Client;

/// How long a silent connection is trusted before it is asked whether it still lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long it may take to answer before it is replaced.
const ANSWER: Duration = Duration::from_secs(5);
/// Delays between attempts to connect: doubled from the first to the last.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The task behind a bell.
pub(super) struct Ear {
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
    pub(super) fn new(
        client: Client,
        streams: Vec<i32>,
        armed: watch::Receiver<bool>,
        listening: watch::Sender<Listening>,
        rung: Arc<Rung>,
    ) -> Self {
        Self {
            client,
            streams,
            armed,
            listening,
            rung,
            holds: false,
            holds_all: false,
        }
    }

    /// Listens for as long as it is polled.
    pub(super) async fn listen(mut self) {
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
                    self.rung.schedules.notify_one();
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
                        if notification.payload() == "schedules" {
                            self.rung.schedules.notify_one();
                        }
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
                    sqlx::query_scalar(include_str!("../../queries/arm_bell.sql"))
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
                        sqlx::query(include_str!("../../queries/disarm_bell.sql"))
                            .execute(listener),
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
