use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};
use vulkan::{Failure, HandlerCall, HandlerError, HandlerService};

use super::support::{Gate, Running, on, options, until, waits_at};
use crate::support::{Publish, TestDb};

/// Notes when a call comes in, and how it goes out.
#[derive(Clone)]
struct Note {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Noting<T>(Note, T);

impl<T> Layer<T> for Note {
    type Service = Noting<T>;

    fn layer(&self, inner: T) -> Noting<T> {
        Noting(self.clone(), inner)
    }
}

impl<T> Service<HandlerCall> for Noting<T>
where
    T: Service<HandlerCall, Response = (), Error = BoxError>,
    T::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.1.poll_ready(cx)
    }

    fn call(&mut self, call: HandlerCall) -> Self::Future {
        let note = self.0.clone();
        let say = move |how: String| {
            let line = format!(
                "{} {} {how}",
                note.name,
                call.deliveries().next().unwrap().kind()
            );
            note.notes.lock().unwrap().push(line);
            call.clone()
        };
        let answer = self.1.call(say("in".into()));
        async move {
            let answer = answer.await;
            match &answer {
                Ok(()) => say("ok".into()),
                Err(error) => say(format!("{error}")),
            };
            answer
        }
        .boxed()
    }
}

#[tokio::test]
async fn the_first_layer_is_outermost_and_a_handlers_own_innermost() {
    let db = TestDb::new().await;
    let notes = Arc::new(Mutex::new(Vec::new()));
    let note = |name| Note {
        name,
        notes: Arc::clone(&notes),
    };
    let handler = |kind: &'static str| {
        on(options("wrapped").kinds([kind]).retries(0), move |_| {
            Box::pin(async move {
                if kind == "plain" {
                    Err("no luck".into())
                } else {
                    Ok(())
                }
            })
        })
    };
    let builder = db
        .worker()
        .await
        .register(handler("plain"))
        .layer(note("first"))
        .layer(note("second"))
        .register_layered(handler("own"), note("own"), |options| options.name("other"));
    let running = Running::start(builder);
    let plain = Publish::new("plain").send(&db.pool).await;
    db.until_is("wrapped", plain, "dead", 1).await;
    let own = Publish::new("own").send(&db.pool).await;
    db.until_is("wrapped", own, "done", 1).await;
    running.stop().await.unwrap();
    assert_eq!(
        *notes.lock().unwrap(),
        [
            "first plain in",
            "second plain in",
            "second plain no luck",
            "first plain no luck",
            "first own in",
            "second own in",
            "own own in",
            "own own ok",
            "second own ok",
            "first own ok",
        ]
    );
    assert_eq!(
        db.stand("wrapped", plain).await.last_error.unwrap(),
        "no luck"
    );
}

#[tokio::test]
async fn what_a_handler_says_comes_through_a_timeout_which_itself_means_retry() {
    let db = TestDb::new().await;
    let handler = on(options("timed").retries(1), |delivery| {
        let kind = delivery.kind().to_owned();
        Box::pin(async move {
            match &*kind {
                "dead" => Err(HandlerError::dead("hopeless")),
                "early" => Err(HandlerError::snooze(Duration::from_secs(3600))),
                "later" => Err(HandlerError::retry_in(Duration::from_secs(500), "busy")),
                "slow" => std::future::pending().await,
                _ => Ok(()),
            }
        })
    });
    let layers = ServiceBuilder::new()
        .timeout(Duration::from_millis(200))
        .into_inner();
    let running = Running::start(db.worker().await.layer(layers).register(handler));
    let mut offsets = Vec::new();
    for kind in ["dead", "early", "later", "slow", "fine"] {
        offsets.push(Publish::new(kind).send(&db.pool).await);
    }
    let [dead, early, later, slow, fine] = offsets[..] else {
        unreachable!()
    };
    db.until_is("timed", dead, "dead", 1).await;
    db.until_is("timed", early, "ready", 0).await;
    db.until_is("timed", later, "ready", 1).await;
    db.until_is("timed", fine, "done", 1).await;
    db.until_is("timed", slow, "dead", 2).await;
    running.stop().await.unwrap();
    assert_eq!(
        db.stand("timed", dead).await.last_error.unwrap(),
        "hopeless"
    );
    let stand = db.stand("timed", later).await;
    assert!((stand.delay.unwrap() - 500.0).abs() < 1.0, "{stand:?}");
    assert_eq!(
        db.stand("timed", slow).await.last_error.unwrap(),
        "request timed out"
    );
}

#[tokio::test]
async fn a_layer_can_answer_in_place_of_the_handler() {
    let db = TestDb::new().await;
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let handler = on(options("guarded").retries(0), move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    });
    let guard = tower::layer::layer_fn(|inner: HandlerService| {
        service_fn(move |call: HandlerCall| {
            let mut inner = inner.clone();
            async move {
                match call.delivery().unwrap().kind() {
                    "skipped" => Ok(()),
                    "denied" => Err(Failure::from(HandlerError::dead("on the list")).into()),
                    "broken" => panic!("a layer at its end"),
                    _ => inner.call(call).await,
                }
            }
        })
    });
    let running = Running::start(db.worker().await.layer(guard).register(handler));
    for (kind, status) in [
        ("skipped", "done"),
        ("denied", "dead"),
        ("broken", "dead"),
        ("other", "done"),
    ] {
        let offset = Publish::new(kind).send(&db.pool).await;
        db.until_is("guarded", offset, status, 1).await;
    }
    running.stop().await.unwrap();
    assert_eq!(called.load(Ordering::Relaxed), 1);
    assert_eq!(
        db.stand("guarded", 2).await.last_error.unwrap(),
        "on the list"
    );
    assert_eq!(
        db.stand("guarded", 3).await.last_error.unwrap(),
        "panicked: a layer at its end"
    );
}

#[tokio::test]
async fn a_limit_of_a_layer_holds_over_all_calls() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("limited"));
    let limit = ServiceBuilder::new().concurrency_limit(2).into_inner();
    let running = Running::start(db.worker().await.layer(limit).register(handler));
    for _ in 0..6 {
        Publish::new("a").send(&db.pool).await;
    }
    came.take(2).await;
    // The others wait in their slots: they are in work, as far as the database knows.
    until("all to be in work", || async {
        db.count("limited", "processing").await == 6
    })
    .await;
    assert!(came.nothing_else());
    came.let_go(1);
    came.take(1).await;
    assert!(came.nothing_else());
    came.let_all_go();
    db.until_done("limited", 6).await;
    running.stop().await.unwrap();
}

/// A layer that makes a success of every failure, and of every handler that takes long.
async fn forgiving(call: HandlerCall, mut inner: HandlerService) -> Result<(), BoxError> {
    let limit = Duration::from_millis(200);
    let _ = tokio::time::timeout(limit, inner.call(call)).await;
    Ok(())
}

#[tokio::test]
async fn what_a_failed_handler_wrote_does_not_commit_whatever_its_layer_says() {
    let db = TestDb::new().await;
    db.run("CREATE TABLE effects (kind text)").await;
    let handler = on(options("forgiven"), |delivery| {
        Box::pin(async move {
            let mut tx = delivery.tx().await?;
            sqlx::query("INSERT INTO effects VALUES ($1)")
                .bind(delivery.kind())
                .execute(&mut *tx)
                .await?;
            match delivery.kind() {
                "fails" => Err("no luck".into()),
                "hangs" => std::future::pending().await,
                _ => Ok(()),
            }
        })
    });
    let layer = tower::layer::layer_fn(|inner: HandlerService| {
        service_fn(move |call| forgiving(call, inner.clone()))
    });
    let running = Running::start(db.worker().await.layer(layer).register(handler));
    for kind in ["fails", "hangs", "works"] {
        let offset = Publish::new(kind).send(&db.pool).await;
        db.until_is("forgiven", offset, "done", 1).await;
    }
    running.stop().await.unwrap();
    assert_eq!(
        db.value::<String>("SELECT string_agg(kind, ',') FROM effects")
            .await,
        "works"
    );
}

struct Load(Gate);

impl<S: Sync> vulkan::BatchHandler<S> for Load {
    fn options(&self) -> vulkan::HandlerOptions {
        options("load").batch(10).retries(0)
    }

    async fn call(&self, batch: &vulkan::Batch, _: &S) -> vulkan::Result {
        for received in batch.received::<i64>() {
            self.0.tell(*received);
            if *received == 2 {
                received.fail(HandlerError::dead("not this one"));
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_layer_stands_around_a_batch_as_a_whole() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let layer = tower::layer::layer_fn(move |inner: HandlerService| {
        let see = Arc::clone(&see);
        service_fn(move |call: HandlerCall| {
            let (see, mut inner) = (Arc::clone(&see), inner.clone());
            async move {
                assert!(call.delivery().is_none());
                let offsets = call.deliveries().map(|delivery| delivery.offset());
                see.lock().unwrap().extend(offsets);
                inner.call(call).await
            }
        })
    });
    let mut tx = db.pool.begin().await.unwrap();
    for number in 1..=3 {
        let event = Publish::new("row").payload(serde_json::json!(number));
        event.send(&mut *tx).await;
    }
    tx.commit().await.unwrap();
    let handler = vulkan::InBatches(Load(gate));
    let running = Running::start(db.worker().await.layer(layer).register(handler));
    came.take(3).await;
    db.until_is("load", 2, "dead", 1).await;
    db.until_done("load", 2).await;
    running.stop().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
}

/// Fails one of its messages by itself, and all of them, the first time.
struct SecondTime(Arc<AtomicUsize>);

impl<S: Sync> vulkan::BatchHandler<S> for SecondTime {
    fn options(&self) -> vulkan::HandlerOptions {
        options("second").batch(10).retries(0)
    }

    async fn call(&self, batch: &vulkan::Batch, _: &S) -> vulkan::Result {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            batch.received::<serde_json::Value>()[0].fail("not yet");
            return Err("not yet".into());
        }
        Ok(())
    }
}

/// What was said of its messages in the call before is no longer so.
#[tokio::test]
async fn a_batch_that_a_layer_calls_again_begins_anew() {
    let db = TestDb::new().await;
    let twice = tower::layer::layer_fn(|inner: HandlerService| {
        service_fn(move |call: HandlerCall| {
            let mut inner = inner.clone();
            async move {
                match inner.call(call.clone()).await {
                    Err(_) => inner.call(call).await,
                    done => done,
                }
            }
        })
    });
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = vulkan::InBatches(SecondTime(Arc::clone(&calls)));
    let running = Running::start(db.worker().await.layer(twice).register(handler));
    let offset = Publish::new("row").send(&db.pool).await;
    until("both calls", || async { calls.load(Ordering::SeqCst) == 2 }).await;
    running.stop().await.unwrap();
    assert!(db.stand("second", offset).await.is("done", 1));
}
