//! The producer: many orders at first, and then a steady few, each of which it writes down once the database has said yes.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use vulkan::Client;

use crate::Result;
use crate::ledger::{Acked, Ledger};
use crate::news::News;
use crate::order::OrderPlaced;

const BATCH: u64 = 250;
const TICKS_A_SECOND: u64 = 10;
const TICK: Duration = Duration::from_millis(1000 / TICKS_A_SECOND);
/// Before the same is published again.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Producer {
    client: Client,
    ledger: Ledger,
    news: News,
    next: AtomicU64,
    stopped: watch::Sender<bool>,
}

impl Producer {
    pub(crate) fn new(client: Client, ledger: Ledger, news: News) -> Self {
        Self {
            client,
            ledger,
            news,
            next: AtomicU64::new(1),
            stopped: watch::Sender::new(false),
        }
    }

    /// Publishes `first` orders at once and then `rate` a second, until it is stopped.
    pub(crate) async fn run(&self, first: u64, rate: u64) -> Result<()> {
        let mut left = first;
        while left > 0 {
            let many = left.min(BATCH);
            self.publish(many).await?;
            left -= many;
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = 0;
        while !*self.stopped.borrow() {
            ticks.tick().await;
            due += rate;
            self.publish(due / TICKS_A_SECOND).await?;
            due %= TICKS_A_SECOND;
        }
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// An order that nobody has published yet.
    pub(crate) fn next_order(&self) -> OrderPlaced {
        OrderPlaced::nth(self.next.fetch_add(1, SeqCst))
    }

    /// Writes down what the database has acknowledged.
    pub(crate) fn acked(&self, orders: &[OrderPlaced], offsets: &[i64]) -> Result<()> {
        let mut entries = Vec::new();
        for (order, offset) in orders.iter().zip(offsets) {
            entries.push(Acked {
                order: i64::try_from(order.id)?,
                offset: *offset,
            });
        }
        Ok(self.ledger.write(&entries)?)
    }

    /// Publishes so many orders. Where there is no answer it publishes the same again: their dedup ids see to it that
    /// none is there twice.
    async fn publish(&self, many: u64) -> Result<()> {
        if many == 0 {
            return Ok(());
        }
        let orders: Vec<_> = (0..many).map(|_| self.next_order()).collect();
        let mut messages = Vec::new();
        for order in &orders {
            messages.push(order.once()?);
        }
        let mut told = false;
        loop {
            match self.client.publish_many(messages.clone()).await {
                Ok(offsets) => return self.acked(&orders, &offsets),
                Err(error) if error.is_transient() => {
                    if !told {
                        self.news.tell(format!(
                            "the producer has no answer for {many} orders, and asks again"
                        ));
                        told = true;
                    }
                    sleep(AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
