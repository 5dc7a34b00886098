use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use vulkan::{HandlerError, RunError};

use super::support::{Gate, Running, on, options, until, waits_at};
use crate::support::{Publish, TestDb, within};

#[tokio::test]
async fn running_handlers_finish_and_the_rest_goes_back_untouched() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    // One at a time of kind a, in a group that takes more.
    let narrow = waits_at(
        &gate,
        options("stops").kinds(["a", "order.>"]).concurrency(1),
    );
    let wide = on(options("stops").kinds(["b"]).concurrency(7), |_| {
        Box::pin(async { Ok(()) })
    });
    let mut tx = db.pool.begin().await.unwrap();
    let mut offsets = Vec::new();
    for _ in 0..4 {
        offsets.push(Publish::new("a").send(&mut *tx).await);
    }
    for _ in 0..2 {
        offsets.push(Publish::keyed("k").send(&mut *tx).await);
    }
    tx.commit().await.unwrap();
    let mut running = Running::start(db.worker().await.register(narrow).register(wide));
    let first = came.next().await;
    running.shutdown().stop();
    // While the first still runs.
    for &offset in offsets.iter().filter(|offset| **offset != first) {
        db.until_is("stops", offset, "ready", 0).await;
    }
    let late = Publish::new("a").send(&db.pool).await;
    assert!(!running.is_over());
    came.let_all_go();
    running.ended().await.unwrap();
    assert!(came.nothing_else());
    assert!(db.stand("stops", first).await.is("done", 1));
    assert!(db.stand("stops", late).await.is("ready", 0));
    assert_eq!(db.count("stops", "ready").await, 6);
    db.check().await;
}

#[tokio::test]
async fn a_run_ends_with_the_message_in_work() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("stops"));
    let first = Publish::keyed("k").send(&db.pool).await;
    let second = Publish::keyed("k").send(&db.pool).await;
    let mut running = Running::start(db.worker().await.register(handler));
    assert_eq!(came.next().await, first);
    running.shutdown().stop();
    came.let_all_go();
    running.ended().await.unwrap();
    assert!(came.nothing_else());
    assert!(db.stand("stops", first).await.is("done", 1));
    assert!(db.stand("stops", second).await.is("ready", 0));
    db.check().await;
}

#[tokio::test]
async fn leases_are_extended_until_the_last_handler_is_done() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("drains").lease(Duration::from_secs(1)));
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let mut running = Running::start(db.worker().await.register(handler));
    came.take(2).await;
    running.shutdown().stop();
    until("twice the lease to pass", || async {
        db.run("SELECT vulkan.reap()").await;
        db.value::<bool>(
            "SELECT clock_timestamp() - max(t.claimed_at) > interval '2200 ms'
             FROM (SELECT claimed_at FROM vulkan.claims UNION ALL SELECT claimed_at FROM vulkan.lanes) t",
        )
        .await
    })
    .await;
    came.let_all_go();
    running.ended().await.unwrap();
    for offset in offsets {
        assert!(db.stand("drains", offset).await.is("done", 1));
    }
    db.check().await;
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_dropped_and_given_back() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("cut"));
    let mut offsets = Vec::new();
    for _ in 0..2 {
        offsets.push(Publish::new("a").send(&db.pool).await);
        offsets.push(Publish::keyed("k").send(&db.pool).await);
    }
    let builder = db
        .worker()
        .await
        .grace(Duration::from_millis(100))
        .register(handler);
    let running = Running::start(builder);
    came.take(3).await;
    // One of them has a row of its own by now, if the machine is slow.
    let error = running.stop().await.unwrap_err();
    assert!(
        matches!(error, RunError::CutOff { messages: 3 }),
        "{error:?}"
    );
    for offset in offsets {
        assert!(db.stand("cut", offset).await.is("ready", 0));
    }
    db.check().await;
}

#[tokio::test]
async fn an_attempt_is_given_back_from_a_row_of_its_own_too() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("cut").lease(Duration::from_secs(3)));
    let offset = Publish::new("a").send(&db.pool).await;
    let running = Running::start(db.worker().await.register(handler));
    came.next().await;
    until("a row of its own", || async {
        db.value::<bool>(
            "SELECT EXISTS (SELECT FROM vulkan.exceptions WHERE status = 'processing')",
        )
        .await
    })
    .await;
    // At once, although the grace period is long.
    let since = Instant::now();
    let mut running = running;
    running.shutdown().stop_now();
    let error = running.ended().await.unwrap_err();
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    assert!(
        matches!(error, RunError::CutOff { messages: 1 }),
        "{error:?}"
    );
    assert!(db.stand("cut", offset).await.is("ready", 0));
    db.check().await;
}

#[tokio::test]
async fn what_has_not_begun_is_not_cut_off() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let narrow = waits_at(&gate, options("cut").kinds(["a"]).concurrency(1));
    let wide = on(options("cut").kinds(["b"]).concurrency(9), |_| {
        Box::pin(async { Ok(()) })
    });
    let mut tx = db.pool.begin().await.unwrap();
    for _ in 0..5 {
        Publish::new("a").send(&mut *tx).await;
    }
    tx.commit().await.unwrap();
    let mut running = Running::start(db.worker().await.register(narrow).register(wide));
    came.next().await;
    running.shutdown().stop_now();
    let error = running.ended().await.unwrap_err();
    assert!(
        matches!(error, RunError::CutOff { messages: 1 }),
        "{error:?}"
    );
    assert_eq!(db.count("cut", "ready").await, 5);
    db.check().await;
}

#[tokio::test]
async fn a_handler_is_told_and_may_put_its_message_off() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("told"), move |delivery| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.tell(delivery.offset());
            delivery.cancelled().await;
            Err(HandlerError::snooze(Duration::ZERO))
        })
    });
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let running = Running::start(db.worker().await.register(handler));
    came.take(2).await;
    running.stop().await.unwrap();
    for offset in offsets {
        assert!(db.stand("told", offset).await.is("ready", 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_never_yields_does_not_hold_up_the_end() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let enough = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&enough);
    let handler = on(options("stuck"), move |delivery| {
        let (gate, over, offset) = (gate.clone(), Arc::clone(&over), delivery.offset());
        Box::pin(async move {
            gate.tell(offset);
            while !over.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            Ok(())
        })
    });
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let builder = db
        .worker()
        .await
        .grace(Duration::from_millis(100))
        .register(handler);
    let running = Running::start(builder);
    came.take(2).await;
    let since = Instant::now();
    let error = running.stop().await;
    let took = since.elapsed();
    enough.store(true, Ordering::Relaxed);
    assert!(
        matches!(error, Err(RunError::CutOff { messages: 2 })),
        "{error:?}"
    );
    assert!(took < Duration::from_secs(4), "{took:?}");
    for offset in offsets {
        assert!(db.stand("stuck", offset).await.is("ready", 0));
    }
    db.check().await;
}

/// As in a `select!` of the caller's.
#[tokio::test]
async fn a_worker_that_is_dropped_begins_nothing_more() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    // One at a time of kind a, in a group that takes more.
    let narrow = waits_at(&gate, options("one").kinds(["a"]).concurrency(1));
    let wide = on(options("one").kinds(["b"]).concurrency(7), |_| {
        Box::pin(async { Ok(()) })
    });
    drop(gate);
    let mut tx = db.pool.begin().await.unwrap();
    for _ in 0..10 {
        Publish::new("a").send(&mut *tx).await;
    }
    tx.commit().await.unwrap();
    let worker = db.worker().await.register(narrow).register(wide);
    let worker = worker.build().unwrap();
    let run = tokio::spawn(worker.run(vulkan::Shutdown::new()));
    came.next().await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    assert_eq!(came.rest().await, [0; 0]);
    assert_eq!(db.count("one", "processing").await, 8);
}

#[tokio::test]
async fn any_future_can_be_the_signal() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("future"), move |delivery| {
        gate.tell(delivery.offset());
        Box::pin(async { Ok(()) })
    });
    Publish::new("a").send(&db.pool).await;
    let (tell, told) = oneshot::channel::<()>();
    let signal = async move { _ = told.await };
    let running = tokio::spawn(db.worker().await.register(handler).run(signal));
    came.next().await;
    tell.send(()).unwrap();
    within("the worker to end", running).await.unwrap().unwrap();
    assert_eq!(db.count("future", "done").await, 1);
}
