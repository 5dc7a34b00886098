use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use vulkan::{Client, Error};

use super::answer::{ANSWER, given_up};
use super::config::{Config, Mode};
use super::depth::Depth;
use super::job::Jobs;
use super::meters::Meters;
use super::offer::Offer;
use super::stop::Stop;
use super::tokens::tokens;

/// How many publishes run at once where one after the other is not enough.
const CALLS: usize = 4;
/// How long nothing is published after a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the file with the rate is read.
const CONTROL: Duration = Duration::from_millis(250);

/// Publishes what is owed, until it is told to stop.
pub(super) async fn produce(
    client: Client,
    config: Arc<Config>,
    meters: Arc<Meters>,
    depth: Arc<Depth>,
    stop: Stop,
) {
    let mut mode = config.mode.clone();
    let mut orders = None;
    if let Mode::Tokens { .. } = mode {
        match tokens() {
            Ok(receiver) => orders = Some(receiver),
            Err(error) => tracing::error!(%error, "cannot read the standard input"),
        }
    }
    let mut producer = Producer {
        client,
        jobs: Arc::new(Jobs::of_bytes(config.payload_bytes)),
        meters,
        calls: JoinSet::new(),
        in_flight: 0,
        offer: Offer::new(Instant::now()),
        batch_max: config.batch_max,
        pause_until: None,
    };
    let mut control = Control::new();
    let mut ticks = ticks(config.batch_every);
    loop {
        tokio::select! {
            now = ticks.tick() => producer.accrue(now, &mut mode, &mut control, &depth),
            order = ordered(&mut orders) => match order {
                Some(messages) => producer.offer.add(messages),
                None => {
                    tracing::info!("no more orders come: goes on by itself");
                    orders = None;
                    producer.offer.pass(Instant::now(), 0.0);
                    if let Mode::Tokens { rate } = mode {
                        mode = Mode::Fixed { rate, control: None };
                    }
                }
            },
            Some(call) = producer.calls.join_next() => match call {
                Ok(call) => producer.ended(call),
                Err(error) => tracing::error!(%error, "a publish has ended in the middle"),
            },
            () = stop.asked() => break,
        }
        producer.publish();
    }
    // What is on its way still comes to be known.
    while let Some(call) = producer.calls.join_next().await {
        if let Ok(call) = call {
            producer.ended(call);
        }
    }
}

struct Producer {
    client: Client,
    jobs: Arc<Jobs>,
    meters: Arc<Meters>,
    calls: JoinSet<Call>,
    /// In those calls.
    in_flight: u64,
    offer: Offer,
    batch_max: u64,
    /// Set from a failure until the next success.
    pause_until: Option<Instant>,
}

/// A publish, and what became of it.
struct Call {
    messages: u64,
    answer: Result<(), Error>,
}

impl Producer {
    /// Adds what a tick brings.
    fn accrue(&mut self, now: Instant, mode: &mut Mode, control: &mut Control, depth: &Depth) {
        match mode {
            Mode::Fixed {
                rate,
                control: file,
            } => {
                if let Some(told) = file.as_deref().and_then(|file| control.rate(now, file)) {
                    *rate = told;
                }
                // Not the tick's own time, which is when it was due.
                self.offer.pass(Instant::now(), *rate);
            }
            Mode::Tokens { .. } => {}
            Mode::Depth { target } => {
                let there = depth.at_most(self.meters.counts().enqueued) + self.in_flight;
                self.offer.set(target.saturating_sub(there));
            }
        }
    }

    /// Begins as many publishes as there is something for.
    fn publish(&mut self) {
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        // While the database fails, one call is enough to find out that it is back.
        let calls = if self.pause_until.is_some() { 1 } else { CALLS };
        while self.calls.len() < calls {
            let messages = self.offer.take(self.batch_max);
            if messages == 0 {
                return;
            }
            self.in_flight += messages;
            let (client, jobs) = (self.client.clone(), Arc::clone(&self.jobs));
            self.calls.spawn(async move {
                let answer = publish(&client, &jobs, messages).await;
                Call { messages, answer }
            });
        }
    }

    fn ended(&mut self, call: Call) {
        self.in_flight = self.in_flight.saturating_sub(call.messages);
        match call.answer {
            Ok(()) => {
                self.meters.enqueued(call.messages);
                if self.pause_until.take().is_some() {
                    tracing::info!("publishes again");
                }
            }
            Err(error) => {
                // Perhaps they were published, and only the answer is lost. Then there will be more than was owed, which are
                // handled as well, and not counted as published.
                self.offer.add(call.messages);
                if self.pause_until.is_none() {
                    tracing::warn!(%error, "cannot publish; tries on");
                }
                self.pause_until = Some(Instant::now() + PAUSE);
            }
        }
    }
}

/// Publishes, in a time. What became of messages without an answer is unknown.
async fn publish(client: &Client, jobs: &Jobs, messages: u64) -> Result<(), Error> {
    let mut connection = client.pool().acquire().await.map_err(Error::Database)?;
    // Made now: a wait for a connection is not the queue's.
    let call = client.publish_many_in(&mut *connection, jobs.make(messages)?);
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map(drop),
        Err(_) => Err(Error::Database(given_up(connection))),
    }
}

/// The next order; where none can come, never.
async fn ordered(orders: &mut Option<Receiver<u64>>) -> Option<u64> {
    match orders {
        Some(orders) => orders.recv().await,
        None => std::future::pending().await,
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// When the file was read last.
struct Control(Option<Instant>);

impl Control {
    fn new() -> Self {
        Self(None)
    }

    /// The rate that the file holds by now, if it is time to look and it holds one.
    fn rate(&mut self, now: Instant, file: &Path) -> Option<f64> {
        if self.0.is_some_and(|last| now - last < CONTROL) {
            return None;
        }
        self.0 = Some(now);
        // A few bytes of a local file: not worth a thread.
        let text = std::fs::read_to_string(file).ok()?;
        let rate: f64 = text.trim().parse().ok()?;
        (rate.is_finite() && rate >= 0.0).then_some(rate)
    }
}
