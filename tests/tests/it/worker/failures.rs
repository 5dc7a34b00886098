use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use serde_json::json;
use vulkan::{Delivery, HandlerError, HandlerOptions, Worker, handler};

use super::support::{Gate, Running, on, options};
use crate::support::{Publish, TestDb};

/// A group with the default options, whose handler always fails.
fn failing(group: &'static str) -> impl vulkan::Handler<()> {
    on(HandlerOptions::new("orders", group), |delivery| {
        let attempt = delivery.attempt();
        Box::pin(async move { Err(format!("no luck at attempt {attempt}").into()) })
    })
}

#[tokio::test]
async fn an_error_is_tried_again_after_the_backoff_until_it_is_dead() {
    let db = TestDb::new().await;
    let running = Running::start(db.worker().await.register(failing("fraud")));
    let offset = Publish::new("a").send(&db.pool).await;
    for (attempt, seconds) in (1..).zip([2.0, 4.0, 8.0, 16.0, 32.0]) {
        let failed = |stand: &super::support::Stand| stand.is("ready", attempt);
        let stand = db
            .until_stands("fraud", offset, "tried again", failed)
            .await;
        let delay = stand.delay.unwrap();
        assert!(
            (0.89..1.11).contains(&(delay / seconds)),
            "{attempt}: {delay}"
        );
        assert_eq!(
            stand.last_error.unwrap(),
            format!("no luck at attempt {attempt}")
        );
        db.all_due().await;
    }
    db.until_is("fraud", offset, "dead", 6).await;
    running.stop().await.unwrap();
    db.check().await;
}

/// No poll, and nobody who publishes, tells an idle worker of the retries that it caused itself.
#[tokio::test]
async fn an_idle_worker_knows_when_its_retries_fall_due() {
    let db = TestDb::new().await;
    let pause = Duration::from_millis(300);
    let often = options("often")
        .backoff(vulkan::Backoff::new(pause, pause))
        .retries(3);
    let handler = on(often, |delivery| {
        let last = delivery.attempt() == 4;
        Box::pin(async move { if last { Ok(()) } else { Err("not yet".into()) } })
    });
    let builder = Worker::builder(db.client().await).poll(Duration::from_secs(600));
    let running = Running::start(builder.register(handler));
    for message in [Publish::new("a"), Publish::keyed("k")] {
        let offset = message.send(&db.pool).await;
        db.until_is("often", offset, "done", 4).await;
    }
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn a_handlers_own_backoff_is_capped() {
    let db = TestDb::new().await;
    let own = || vulkan::Backoff::new(Duration::from_secs(100), Duration::from_secs(150));
    let handler = |kind: &'static str| {
        let options = HandlerOptions::new("orders", "own")
            .kinds([kind])
            .backoff(own());
        on(options.retries(2), |_| Box::pin(async { Err("no".into()) }))
    };
    // Two of them, so the group's backoff is neither's.
    let running = Running::start(
        db.worker()
            .await
            .register(handler("a"))
            .register(handler("b")),
    );
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let _ = offsets[1];
    for (attempt, bounds) in (1..).zip([90.0..=110.0, 134.9..=150.1]) {
        let failed = |stand: &super::support::Stand| stand.is("ready", attempt);
        let stand = db
            .until_stands("own", offsets[0], "tried again", failed)
            .await;
        assert!(bounds.contains(&stand.delay.unwrap()), "{stand:?}");
        db.all_due().await;
    }
    db.until_is("own", offsets[0], "dead", 3).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_handler_says_what_becomes_of_its_message() {
    let db = TestDb::new().await;
    let answer = |delivery: &Delivery| match (delivery.kind(), delivery.attempt()) {
        ("retry-in", 1) => Err(HandlerError::retry_in(Duration::from_secs(77), "later")),
        ("never", 1) => Err(HandlerError::retry_in(Duration::MAX, "never")),
        ("snooze", _) => Err(HandlerError::snooze(Duration::from_secs(55))),
        ("dead", _) => Err(HandlerError::dead("it is no use")),
        ("nul", _) => Err(HandlerError::dead("a\0b")),
        ("long", _) => Err(HandlerError::dead("x".repeat(100_000))),
        _ => Ok(()),
    };
    let handler = on(options("says"), move |delivery| {
        let answer = answer(delivery);
        Box::pin(async move { answer })
    });
    let running = Running::start(db.worker().await.register(handler));
    let never = Publish::new("never").send(&db.pool).await;
    let later = Publish::new("retry-in").send(&db.pool).await;
    let keyed = Publish::new("retry-in").key("k").send(&db.pool).await;
    let snoozed = Publish::new("snooze").send(&db.pool).await;
    let dozing = Publish::new("snooze").key("l").send(&db.pool).await;
    let dead = Publish::new("dead").send(&db.pool).await;
    let nul = Publish::new("nul").send(&db.pool).await;
    let long = Publish::new("long").send(&db.pool).await;

    for offset in [later, keyed] {
        let stand = db
            .until_stands("says", offset, "put off", |s| s.is("ready", 1))
            .await;
        assert!((76.0..78.0).contains(&stand.delay.unwrap()), "{stand:?}");
    }
    for offset in [snoozed, dozing] {
        let slept =
            |stand: &super::support::Stand| stand.is("ready", 0) && stand.delay > Some(50.0);
        db.until_stands("says", offset, "snoozed, no attempt spent", slept)
            .await;
    }
    for (offset, error) in [(dead, "it is no use"), (nul, "a\u{fffd}b")] {
        let stand = db
            .until_stands("says", offset, "dead", |s| s.is("dead", 1))
            .await;
        assert_eq!(stand.last_error.unwrap(), error);
    }
    let stand = db
        .until_stands("says", long, "dead", |s| s.is("dead", 1))
        .await;
    assert_eq!(
        stand.last_error.unwrap().len(),
        vulkan::HandlerError::MAX_MESSAGE_LEN
    );
    db.until_is("says", never, "ready", 1).await;

    db.all_due().await;
    for offset in [later, keyed, never] {
        db.until_is("says", offset, "done", 2).await;
    }
    running.stop().await.unwrap();
    db.check().await;
}

#[derive(serde::Deserialize)]
struct Order {
    #[expect(dead_code, reason = "only decoding is of interest")]
    items: Vec<Item>,
}

#[derive(serde::Deserialize)]
struct Item {
    #[expect(dead_code, reason = "only decoding is of interest")]
    price: u64,
}

#[handler(stream = "orders", group = "decoder")]
async fn decode(_order: Order) -> vulkan::Result {
    Ok(())
}

#[tokio::test]
async fn a_payload_that_does_not_decode_is_dead_at_once() {
    let db = TestDb::new().await;
    let running = Running::start(db.worker().await.register(decode));
    let wrong = Publish::new("a")
        .payload(json!({"items": [{"price": 1}, {"price": "free"}]}))
        .send(&db.pool)
        .await;
    let none = Publish::new("a")
        .payload(json!("not an object"))
        .send(&db.pool)
        .await;
    let right = Publish::new("a")
        .payload(json!({"items": [{"price": 1}]}))
        .send(&db.pool)
        .await;
    let error = |stand: super::support::Stand| stand.last_error.unwrap();
    let dead = |stand: &super::support::Stand| stand.is("dead", 1);
    let said = error(db.until_stands("decoder", wrong, "dead", dead).await);
    assert!(
        said.contains("items[1].price: invalid type: string, expected u64")
            && !said.contains("free"),
        "{said}"
    );
    let said = error(db.until_stands("decoder", none, "dead", dead).await);
    assert!(said.contains("expected struct Order"), "{said}");
    db.until_is("decoder", right, "done", 1).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_panic_is_recorded_and_its_slot_is_free_again() {
    let db = TestDb::new().await;
    let handler = on(options("panics").retries(1), |delivery| {
        let kind = delivery.kind().to_owned();
        match kind.as_str() {
            // Before there is a future, and within it.
            "early" => panic!("too early"),
            _ => Box::pin(async move {
                match kind.as_str() {
                    "text" => panic!("a text"),
                    "format" => panic!("a {}", "format"),
                    "other" => std::panic::panic_any(7),
                    _ => Ok(()),
                }
            }),
        }
    });
    // One slot: if a panic kept it, nothing else would be handled.
    let running = Running::start(db.worker().await.concurrency(1).register(handler));
    let panics = [
        ("early", "panicked: too early"),
        ("text", "panicked: a text"),
        ("format", "panicked: a format"),
        ("other", "panicked"),
    ];
    let mut offsets = Vec::new();
    for (kind, error) in panics {
        offsets.push((Publish::new(kind).send(&db.pool).await, error));
        offsets.push((Publish::new(kind).key("k").send(&db.pool).await, error));
    }
    let last = Publish::new("last").send(&db.pool).await;
    db.until_is("panics", last, "done", 1).await;
    for (offset, error) in offsets {
        let stand = db
            .until_stands("panics", offset, "dead", |s| s.is("dead", 2))
            .await;
        assert_eq!(stand.last_error.unwrap(), error);
    }
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_dropped() {
    let db = TestDb::new().await;
    let drops = Arc::new(AtomicI32::new(0));
    let dropped = Arc::clone(&drops);
    let handler = on(
        options("slow")
            .timeout(Duration::from_millis(50))
            .retries(1),
        move |_| {
            let guard = OnDrop(Arc::clone(&dropped));
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(guard);
                Ok(())
            })
        },
    );
    let running = Running::start(db.worker().await.register(handler));
    for offset in [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ] {
        let stand = db
            .until_stands("slow", offset, "dead", |s| s.is("dead", 2))
            .await;
        assert_eq!(stand.last_error.unwrap(), "timed out after 50ms");
    }
    assert_eq!(drops.load(Ordering::SeqCst), 4);
    running.stop().await.unwrap();
}

struct OnDrop(Arc<AtomicI32>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn payloads_of_every_size_and_form_arrive() {
    let db = TestDb::new().await;
    db.run("UPDATE vulkan.meta SET max_payload = 16777216")
        .await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("sizes"), move |delivery| {
        gate.tell(i64::try_from(delivery.payload().get().len()).unwrap());
        Box::pin(async { Ok(()) })
    });
    let payloads = [
        json!(null),
        json!(false),
        json!(1.5),
        json!("é"),
        json!([1]),
        json!("x".repeat(9 << 20)),
        json!("y".repeat(1 << 20)),
    ];
    let mut lengths = Vec::new();
    for payload in payloads {
        lengths.push(i64::try_from(payload.to_string().len()).unwrap());
        Publish::new("a").payload(payload).send(&db.pool).await;
    }
    let running = Running::start(db.worker().await.register(handler));
    lengths.sort_unstable();
    assert_eq!(came.take(lengths.len()).await, lengths);
    running.stop().await.unwrap();
    assert_eq!(db.count("sizes", "done").await, 7);
}
