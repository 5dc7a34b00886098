//! A worker process, whose handlers write what they do into its ledger.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use vulkan::{
    Backoff, Client, Delivery, Handler, HandlerOptions, RunError, Worker, WorkerEvent,
    shutdown_signal,
};

use super::{Group, Job, STREAM, Work, end_of_input, pool};
use crate::Result;
use crate::clock::{mono_us, us};
use crate::ledger::{Entry, How, Pen};

/// It was cut off at the end of its grace period.
const CUT_OFF: u8 = 3;
/// Some of what it had handled could not be reported.
const UNSETTLED: u8 = 4;
/// So long is standing still, and no hiccup.
const STILL: Duration = Duration::from_millis(600);

pub(super) async fn run(order: Work) -> Result<u8> {
    // Handlers panic on purpose here.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(bytes) = order.memory {
        let limit = rustix::process::Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        rustix::process::setrlimit(rustix::process::Resource::As, limit)?;
    }
    let pen = Arc::new(Pen::open(&order.ledger, "worker")?);
    let client = match order.connections {
        None => Client::connect(&order.url).await?,
        Some(many) => Client::new(pool(&order.url, many).await?),
    };
    let mut builder = Worker::builder(client)
        .concurrency(order.slots)
        .grace(Duration::from_millis(order.grace_ms))
        .listen(order.listen);
    for group in order.groups {
        let pen = Arc::clone(&pen);
        builder = builder.register(Handle { group, pen });
    }
    let noted = Arc::clone(&pen);
    let worker = builder.on_event(move |event| note(&noted, event)).build()?;
    let shutdown = shutdown_signal();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        end_of_input().await;
        asked.stop();
    });
    let readiness = worker.readiness();
    let told = Arc::clone(&pen);
    let telling = tokio::spawn(async move {
        let mut before = None;
        loop {
            let why = readiness.reasons();
            if before != Some(why.is_empty()) {
                before = Some(why.is_empty());
                let (ready, why) = (why.is_empty(), why.join("; "));
                told.note(Entry::Ready { ready, why });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let watching = tokio::spawn(watch(Arc::clone(&pen)));
    let ended = worker.run(shutdown).await;
    telling.abort();
    watching.abort();
    pen.note(Entry::Down);
    match ended {
        Ok(()) => Ok(0),
        Err(RunError::CutOff { .. }) => Ok(CUT_OFF),
        Err(RunError::Unsettled { .. }) => Ok(UNSETTLED),
        Err(error) => Err(error.into()),
    }
}

/// Notes when nothing here moved for a while: whoever stands still can lose its leases.
async fn watch(pen: Arc<Pen>) {
    const EVERY: Duration = Duration::from_millis(100);
    loop {
        let before = mono_us();
        tokio::time::sleep(EVERY).await;
        let for_us = mono_us() - before;
        if for_us > us(STILL) {
            pen.note(Entry::Stalled { for_us });
        }
    }
}

fn note(pen: &Pen, event: &WorkerEvent<'_>) {
    pen.note(match event {
        WorkerEvent::Claimed { group, took, .. } => Entry::Claimed {
            group: (*group).into(),
            took_us: us(*took),
        },
        WorkerEvent::Settled { group, took, .. } => Entry::Settled {
            group: (*group).into(),
            took_us: us(*took),
        },
        WorkerEvent::Stale {
            group, settlements, ..
        } => Entry::Stale {
            group: (*group).into(),
            many: *settlements,
        },
        WorkerEvent::LeaseLost { group, offset, .. } => Entry::LeaseLost {
            group: (*group).into(),
            offset: *offset,
        },
        WorkerEvent::Trouble { call, error, .. } => Entry::Trouble {
            call: call.to_string(),
            error: error.map_or_else(|| "no answer".into(), |error| chain(error)),
        },
        WorkerEvent::Unsettleable { error, .. } => Entry::Trouble {
            call: "settle it ever".into(),
            error: chain(*error),
        },
        _ => return,
    });
}

/// An error with what caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// The handler of a group.
struct Handle {
    group: Group,
    pen: Arc<Pen>,
}

impl Handler<()> for Handle {
    fn options(&self) -> HandlerOptions {
        let group = &self.group;
        let kinds: &[Cow<'static, str>] = match group.keyed_only {
            true => &[Cow::Borrowed("keyed.>")],
            false => &[],
        };
        let options = HandlerOptions::new(STREAM, group.name.clone())
            .kinds(kinds.iter().cloned())
            .retries(group.retries)
            .lease(Duration::from_millis(group.lease_ms))
            .backoff(Backoff::new(
                Duration::from_millis(100),
                Duration::from_secs(2),
            ));
        match group.timeout_ms {
            Some(millis) => options.timeout(Duration::from_millis(millis)),
            None => options,
        }
    }

    async fn call(&self, delivery: &Delivery, (): &()) -> vulkan::Result {
        let job: Job = delivery.decode()?;
        let mut running = Running::begin(self, delivery, job.id);
        let done = self.handle(delivery, &job).await;
        running.how = match done {
            Ok(()) => How::Done,
            Err(_) => How::Failed,
        };
        done
    }
}

impl Handle {
    async fn handle(&self, delivery: &Delivery, job: &Job) -> vulkan::Result {
        let group = &self.group;
        if group.effects {
            let mut tx = delivery.tx().await?;
            sqlx::query(include_str!("../sql/effect.sql"))
                .bind(&group.name)
                .bind(delivery.offset())
                .execute(&mut *tx)
                .await?;
        }
        job.deed
            .run(job.id, group.millis, delivery.attempt())
            .await?;
        let fails = group.fails_one_in > 0 && job.id.is_multiple_of(group.fails_one_in);
        match fails && delivery.attempt() == 1 {
            true => Err("the first attempt fails".into()),
            false => Ok(()),
        }
    }
}

/// A call of the handler, which ends in the ledger however it ends.
struct Running<'a> {
    handle: &'a Handle,
    delivery: &'a Delivery,
    how: How,
}

impl<'a> Running<'a> {
    fn begin(handle: &'a Handle, delivery: &'a Delivery, id: u64) -> Self {
        handle.pen.note(Entry::Start {
            group: handle.group.name.clone(),
            offset: delivery.offset(),
            id,
            attempt: delivery.attempt(),
            key: delivery.key().map(str::to_owned),
        });
        Self {
            handle,
            delivery,
            how: How::Cut,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.handle.pen.note(Entry::End {
            group: self.handle.group.name.clone(),
            offset: self.delivery.offset(),
            attempt: self.delivery.attempt(),
            how: match std::thread::panicking() {
                true => How::Failed,
                false => self.how,
            },
        });
    }
}
