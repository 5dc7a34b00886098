use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use vulkan::{Client, DryRun, HandlerError, Status, WorkerEvent};

use super::support::{Gate, Running, on, options, until, waits_at};
use crate::support::{Publish, TestDb, within};

async fn cancel(client: &Client, group: &str, offset: i64) -> Status {
    let because = Some("ordered twice");
    let cancelled = client.cancel("orders", group, offset, because, DryRun::No);
    cancelled.await.unwrap()
}

#[tokio::test]
async fn a_handler_is_told_and_what_fails_then_is_dead() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("told"), move |delivery| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.tell(delivery.offset());
            delivery.cancelled().await;
            Err("interrupted".into())
        })
    });
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let behind = Publish::keyed("k").send(&db.pool).await;
    let running = Running::start(db.worker().await.register(handler));
    assert_eq!(came.take(2).await, offsets);
    let client = db.client().await;
    let since = Instant::now();
    for offset in offsets {
        assert_eq!(cancel(&client, "told", offset).await, Status::Processing);
    }
    for offset in offsets {
        let stand = db
            .until_stands("told", offset, "dead", |stand| stand.is("dead", 1))
            .await;
        let error = stand.last_error.unwrap();
        assert_eq!(error, "cancelled: ordered twice; interrupted");
    }
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    // Its key goes on.
    assert_eq!(came.next().await, behind);
    cancel(&client, "told", behind).await;
    db.until_is("told", behind, "dead", 1).await;
    let asked: i64 = db
        .value("SELECT count(*) FROM vulkan.cancel_requests")
        .await;
    assert_eq!(asked, 0);
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn what_is_put_off_then_is_told_to_be_dead() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("early"), move |delivery| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.tell(delivery.offset());
            delivery.cancelled().await;
            Err(HandlerError::snooze(Duration::from_secs(3600)))
        })
    });
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let (tell, mut told) = mpsc::unbounded_channel();
    let builder = db.worker().await.on_event(move |event| {
        if let WorkerEvent::Dead { attempt, error, .. } = event {
            let _ = tell.send((attempt.offset, format!("{}: {error}", attempt.handler)));
        }
    });
    let running = Running::start(builder.register(handler));
    assert_eq!(came.take(2).await, offsets);
    let client = db.client().await;
    let mut dead = Vec::new();
    for offset in offsets {
        cancel(&client, "early", offset).await;
        db.until_is("early", offset, "dead", 1).await;
        dead.push(within("an event", told.recv()).await.unwrap());
    }
    assert_eq!(
        dead,
        offsets.map(|offset| (offset, "early: it was cancelled".into()))
    );
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn what_succeeds_all_the_same_is_done() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("finishes"), move |delivery| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.tell(delivery.offset());
            delivery.cancelled().await;
            Ok(())
        })
    });
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let running = Running::start(db.worker().await.register(handler));
    came.take(2).await;
    let client = db.client().await;
    for offset in offsets {
        cancel(&client, "finishes", offset).await;
        db.until_is("finishes", offset, "done", 1).await;
    }
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn what_waits_in_the_process_is_never_begun() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let (tell, mut told) = Gate::new();
    let handler = on(options("queued"), move |delivery| {
        let (gate, tell, offset) = (gate.clone(), tell.clone(), delivery.offset());
        Box::pin(async move {
            tokio::select! {
                () = gate.pass(offset) => {}
                () = delivery.cancelled() => tell.tell(offset),
            }
            Ok(())
        })
    });
    let mut tx = db.pool.begin().await.unwrap();
    let mut run = Vec::new();
    for _ in 0..3 {
        run.push(Publish::keyed("k").send(&mut *tx).await);
    }
    let other = Publish::new("a").send(&mut *tx).await;
    tx.commit().await.unwrap();
    let running = Running::start(db.worker().await.register(handler));
    assert_eq!(came.take(2).await, [run[0], other]);
    let client = db.client().await;
    // In the run of its key that the worker has; whoever hears of the second hears of the first, too.
    assert_eq!(cancel(&client, "queued", run[1]).await, Status::Processing);
    assert_eq!(cancel(&client, "queued", other).await, Status::Processing);
    assert_eq!(told.next().await, other);
    came.let_all_go();
    assert_eq!(came.next().await, run[2]);
    db.until_is("queued", run[2], "done", 1).await;
    assert!(came.nothing_else());
    let error = db.stand("queued", run[1]).await.last_error.unwrap();
    assert_eq!(error, "cancelled: ordered twice; it had not begun");
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn a_handler_that_pays_no_heed_is_dropped_and_counted() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("deaf"));
    let offset = Publish::new("a").send(&db.pool).await;
    let builder = db.worker().await.notice(Duration::from_millis(100));
    let running = Running::start(builder.register(handler));
    came.next().await;
    let client = db.client().await;
    cancel(&client, "deaf", offset).await;
    let stand = db
        .until_stands("deaf", offset, "dead", |stand| stand.is("dead", 1))
        .await;
    let error = stand.last_error.unwrap();
    assert_eq!(
        error,
        "cancelled: ordered twice; it did not end when it was told to"
    );
    until("its row to tell", || async {
        client.workers().await.unwrap()[0].ignored_cancellations == 1
    })
    .await;
    running.stop().await.unwrap();
}

/// Of a batch the others go on; it is dropped once nobody wants any of it.
#[tokio::test]
async fn a_batch_that_pays_no_heed_is_dropped_once_all_of_it_is_cancelled() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = vulkan::InBatches(Deaf(gate));
    let (told, mut heard) = mpsc::unbounded_channel();
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::new("a").send(&db.pool).await,
    ];
    let builder = db.worker().await.notice(Duration::from_millis(100));
    let builder = builder.on_event(move |event| {
        if let WorkerEvent::CancellationIgnored { attempt, .. } = event {
            let _ = told.send(attempt.offset);
        }
    });
    let running = Running::start(builder.register(handler));
    came.next().await;
    let client = db.client().await;
    for offset in offsets {
        assert_eq!(cancel(&client, "deaf", offset).await, Status::Processing);
        assert_eq!(within("the event", heard.recv()).await, Some(offset));
    }
    for offset in offsets {
        let dead = |stand: &super::support::Stand| stand.is("dead", 1);
        let stand = db.until_stands("deaf", offset, "dead", dead).await;
        assert_eq!(
            stand.last_error.unwrap(),
            "cancelled: ordered twice; it did not end when it was told to"
        );
    }
    running.stop().await.unwrap();
    db.check().await;
}

/// Takes batches, and never comes back.
struct Deaf(Gate);

impl<S: Sync> vulkan::BatchHandler<S> for Deaf {
    fn options(&self) -> vulkan::HandlerOptions {
        options("deaf").batch(10)
    }

    async fn call(&self, batch: &vulkan::Batch, _: &S) -> vulkan::Result {
        assert_eq!(batch.len(), 2);
        self.0.tell(0);
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_blocks_its_thread_is_seen() {
    let db = TestDb::new().await;
    let enough = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&enough);
    let handler = on(options("stuck"), move |_| {
        let over = Arc::clone(&over);
        Box::pin(async move {
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        })
    });
    Publish::new("a").send(&db.pool).await;
    let running = Running::start(db.worker().await.register(handler));
    let client = db.client().await;
    until("its row to tell", || async {
        let workers = client.workers().await.unwrap();
        workers
            .first()
            .is_some_and(|worker| worker.stuck_handlers == 1)
    })
    .await;
    enough.store(true, Ordering::Relaxed);
    db.until_done("stuck", 1).await;
    running.stop().await.unwrap();
}

/// Its tasks hear of it by the token, since the handler itself is dropped at once.
#[tokio::test]
async fn the_tasks_of_a_handler_that_times_out_are_told() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(
        options("slow")
            .retries(0)
            .timeout(Duration::from_millis(50)),
        move |delivery| {
            let (gate, offset) = (gate.clone(), delivery.offset());
            let token = delivery.cancellation_token().clone();
            tokio::spawn(async move {
                token.cancelled().await;
                gate.tell(offset);
            });
            Box::pin(std::future::pending())
        },
    );
    let offset = Publish::new("a").send(&db.pool).await;
    let running = Running::start(db.worker().await.register(handler));
    assert_eq!(came.next().await, offset);
    db.until_is("slow", offset, "dead", 1).await;
    running.stop().await.unwrap();
}
