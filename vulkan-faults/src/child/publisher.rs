//! A publisher process: lanes that publish one after the other, each in one of the ways there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use sqlx::error::Error as Sqlx;
use tokio::sync::watch;
use vulkan::{Client, Error, Message};

use super::{Deed, Job, Publish, STREAM, end_of_input, pool, worker::chain};
use crate::Result;
use crate::ledger::{Entry, Pen};

/// For a transaction to end.
const PATIENCE: Duration = Duration::from_secs(25);

/// Of a hundred attempts of a flaky message so many fail: about half of these die at a third attempt.
const FLAKY: u32 = 80;

/// Events of one batch.
const BATCH: u64 = 10;

struct Lanes {
    order: Publish,
    pen: Pen,
    client: Client,
    next: AtomicU64,
    pad: String,
}

pub(super) async fn run(order: Publish) -> Result<()> {
    let pen = Pen::open(&order.ledger, "publisher")?;
    let connections = u32::try_from(order.lanes)?;
    let client = Client::new(pool(&order.url, connections).await?);
    let lanes = Arc::new(Lanes {
        pad: "x".repeat(order.payload),
        next: order.first_id.into(),
        order,
        pen,
        client,
    });
    let (stop, stopped) = watch::channel(false);
    let all: Vec<_> = (0..lanes.order.lanes)
        .map(|_| tokio::spawn(Arc::clone(&lanes).lane(stopped.clone())))
        .collect();
    end_of_input().await;
    let _ = stop.send(true);
    for lane in all {
        lane.await?;
    }
    lanes.pen.note(Entry::Down);
    Ok(())
}

/// The ways to publish.
#[derive(Clone, Copy)]
enum Way {
    /// One, in a statement of its own.
    One,
    /// Some in one statement.
    Many,
    /// In a transaction with a write of the application's; some are rolled back, some of them to a savepoint.
    InTransaction,
}

impl Lanes {
    async fn lane(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let each = Duration::from_secs_f64(self.order.lanes as f64 / self.order.rate);
        let mut due = tokio::time::Instant::now() + each.mul_f64(rand::random());
        while !*stopped.borrow() {
            tokio::time::sleep_until(due).await;
            let way = match rand::random_range(0..100) {
                0..30 => Way::One,
                30..40 => Way::Many,
                _ => Way::InTransaction,
            };
            // What an outage held up is not caught up with: the load stays what it is.
            due = due.max(tokio::time::Instant::now() - each * 4);
            due += match way {
                Way::Many => each * u32::try_from(BATCH).unwrap_or(1),
                _ => each,
            };
            match way {
                Way::One => self.one(&stopped).await,
                Way::Many => self.many(&stopped).await,
                Way::InTransaction => self.in_transaction().await,
            }
        }
    }

    fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A new event, noted as about to be published.
    fn message(&self, dedup: bool) -> vulkan::Result<(u64, Message), Error> {
        let id = self.id();
        let keyed = hits(self.order.keyed_percent);
        let job = Job {
            id,
            deed: match hits(self.order.flaky_percent) {
                true => Deed::Flaky(FLAKY),
                false => self.order.deed,
            },
            pad: self.pad.clone(),
        };
        let kind = if keyed { "keyed.made" } else { "plain.made" };
        let mut message = Message::new(STREAM, kind, &job)?;
        let key = keyed.then(|| format!("key-{}", zipf(self.order.keys)));
        if let Some(key) = &key {
            message = message.key(key.clone());
        }
        if dedup {
            message = message.dedup_id(format!("event-{id}"));
        }
        self.pen.note(Entry::Invoke { id, key, dedup });
        Ok((id, message))
    }

    async fn one(&self, stopped: &watch::Receiver<bool>) {
        let dedup = self.order.only_once || rand::random();
        let Ok((id, message)) = self.message(dedup) else {
            return;
        };
        loop {
            match self.client.publish(message.clone()).await {
                Ok(offset) => return self.pen.note(Entry::Ok { id, offset }),
                Err(error) => {
                    self.failed(&[id], &error);
                    if !dedup || !error.is_transient() || *stopped.borrow() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn many(&self, stopped: &watch::Receiver<bool>) {
        let dedup = self.order.only_once || rand::random();
        let messages: vulkan::Result<Vec<_>, Error> =
            (0..BATCH).map(|_| self.message(dedup)).collect();
        let Ok(messages) = messages else { return };
        let (ids, messages): (Vec<u64>, Vec<Message>) = messages.into_iter().unzip();
        loop {
            match self.client.publish_many(messages.clone()).await {
                Ok(offsets) => {
                    for (id, offset) in ids.into_iter().zip(offsets) {
                        self.pen.note(Entry::Ok { id, offset });
                    }
                    return;
                }
                Err(error) => {
                    self.failed(&ids, &error);
                    if !dedup || !error.is_transient() || *stopped.borrow() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn in_transaction(&self) {
        let Ok((id, message)) = self.message(false) else {
            return;
        };
        self.pen.note(Entry::Together { id });
        let invoked = vec![id];
        let mut offsets = Vec::new();
        let mut committing = false;
        // An application's own transaction has no limit but the application's: a connection that fell silent would
        // hold it until the kernel gives up.
        let done = tokio::time::timeout(
            PATIENCE,
            self.transaction(message, &invoked, &mut offsets, &mut committing),
        )
        .await
        .unwrap_or_else(|_| {
            Err(Error::Database(Sqlx::Io(
                std::io::ErrorKind::TimedOut.into(),
            )))
        });
        match done {
            Ok(true) => {
                for (id, offset) in offsets {
                    self.pen.note(Entry::Ok { id, offset });
                }
            }
            Ok(false) => invoked
                .into_iter()
                .for_each(|id| self.pen.note(Entry::Fail { id })),
            // Whatever the commit was answered with, it may have happened.
            Err(error) if committing => {
                for id in invoked {
                    let why = chain(&error);
                    self.pen.note(Entry::Info { id, why });
                }
            }
            Err(_) => invoked
                .into_iter()
                .for_each(|id| self.pen.note(Entry::Fail { id })),
        }
    }

    /// Returns whether it committed; what it would have published is in `offsets`.
    async fn transaction(
        &self,
        message: Message,
        invoked: &[u64],
        offsets: &mut Vec<(u64, i64)>,
        committing: &mut bool,
    ) -> vulkan::Result<bool, Error> {
        let mut tx = self.client.begin().await?;
        // First the write, as an application does it: the transaction is older than its offset.
        sqlx::query(include_str!("../sql/business.sql"))
            .bind(i64::try_from(invoked[0]).unwrap_or_default())
            .execute(&mut *tx)
            .await?;
        if rand::rng().random_range(0..5) == 0 {
            // A savepoint that is rolled back takes its event with it.
            sqlx::query("SAVEPOINT one").execute(&mut *tx).await?;
            let (id, lost) = self.message(false)?;
            let published = self.client.publish_in(&mut *tx, lost).await;
            self.pen.note(Entry::Fail { id });
            published?;
            sqlx::query("ROLLBACK TO SAVEPOINT one")
                .execute(&mut *tx)
                .await?;
        }
        let offset = self.client.publish_in(&mut *tx, message).await?;
        offsets.push((invoked[0], offset));
        if self.order.hold_ms > 0 {
            let held = rand::rng().random_range(0..self.order.hold_ms);
            tokio::time::sleep(Duration::from_millis(held)).await;
        }
        if rand::rng().random_range(0..100) < 15 {
            tx.rollback().await?;
            return Ok(false);
        }
        *committing = true;
        tx.commit().await?;
        Ok(true)
    }

    /// What came of a publish that was not acknowledged.
    fn failed(&self, ids: &[u64], error: &Error) {
        let never_sent = matches!(
            error,
            Error::Database(Sqlx::PoolTimedOut | Sqlx::PoolClosed)
        );
        for &id in ids {
            self.pen.note(match never_sent {
                true => Entry::Fail { id },
                false => Entry::Info {
                    id,
                    why: chain(error),
                },
            });
        }
    }
}

fn hits(percent: u32) -> bool {
    rand::random_range(0..100) < percent
}

/// A number below `many`, small ones far more often than large ones.
fn zipf(many: u32) -> u32 {
    // The inverse of the distribution 1/x over [1, many + 1).
    let most = f64::from(many) + 1.0;
    let x = most.powf(rand::random::<f64>());
    (x as u32).saturating_sub(1).min(many - 1)
}
