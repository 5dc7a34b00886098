use std::sync::{Arc, Mutex};
use std::time::Duration;

use vulkan::{CheckpointError, Delivery, HandlerError, Received, Result, State, handler};

use super::support::{Gate, Running, on, options};
use crate::support::{Publish, TestDb};

fn both() -> [Publish; 2] {
    [Publish::new("a"), Publish::keyed("k")]
}

/// Attempt after attempt goes one step further, in this worker or another, and a redrive goes on where the dead one came.
#[tokio::test]
async fn each_attempt_goes_on_from_the_one_before() {
    for publish in both() {
        let db = TestDb::new().await;
        let steps = Arc::new(Mutex::new(Vec::new()));
        let handler = || {
            let steps = Arc::clone(&steps);
            on(options("steps").retries(1), move |cx| {
                let steps = Arc::clone(&steps);
                Box::pin(async move {
                    let at: u32 = cx.checkpoint().await?.unwrap_or(0);
                    steps.lock().unwrap().push(at);
                    cx.save_checkpoint(&(at + 1)).await?;
                    match at {
                        3 => Ok(()),
                        _ => Err("not there yet".into()),
                    }
                })
            })
        };
        let running = Running::start(db.worker().await.register(handler()));
        let offset = publish.send(&db.pool).await;
        db.until_is("steps", offset, "dead", 2).await;
        running.stop().await.unwrap();
        let running = Running::start(db.worker().await.register(handler()));
        let client = db.client().await;
        let all = vulkan::Redrive::default();
        client
            .redrive("orders", "steps", all, vulkan::DryRun::No)
            .await
            .unwrap();
        db.until_is("steps", offset, "done", 2).await;
        running.stop().await.unwrap();
        assert_eq!(*steps.lock().unwrap(), [0, 1, 2, 3]);
        db.check().await;
    }
}

#[tokio::test]
async fn an_error_takes_one_along() {
    let db = TestDb::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let handler = on(options("asks"), move |cx| {
        let noted = Arc::clone(&noted);
        Box::pin(async move {
            let asked: u32 = cx.checkpoint().await?.unwrap_or(0);
            noted.lock().unwrap().push(asked);
            let error = match asked {
                0 => HandlerError::snooze(Duration::ZERO),
                1 => HandlerError::retry("later"),
                _ => return Ok(()),
            };
            Err(error.with_checkpoint(&(asked + 1))?)
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    for publish in both() {
        let offset = publish.send(&db.pool).await;
        db.until_is("asks", offset, "done", 2).await;
    }
    running.stop().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 0, 1, 2]);
}

/// Who lost the lease must not overwrite what the attempt after it goes on from.
#[tokio::test]
async fn who_lost_the_lease_saves_nothing() {
    for publish in both() {
        let db = TestDb::new().await;
        let (gate, mut came) = Gate::new();
        let (stale, mut stales) = Gate::new();
        let handler = on(options("zombie"), move |cx| {
            let (gate, stale) = (gate.clone(), stale.clone());
            Box::pin(async move {
                cx.save_checkpoint(&cx.attempt()).await?;
                if cx.attempt() == 1 {
                    gate.pass(cx.offset()).await;
                    if let Err(CheckpointError::Stale(_)) = cx.save_checkpoint("late").await {
                        stale.tell(cx.offset());
                    }
                }
                Err(HandlerError::dead("keep it"))
            })
        });
        let running = Running::start(db.worker().await.register(handler));
        let offset = publish.send(&db.pool).await;
        assert_eq!(came.next().await, offset);
        db.lose_leases().await;
        db.until_is("zombie", offset, "dead", 2).await;
        came.let_go(1);
        assert_eq!(stales.next().await, offset);
        running.stop().await.unwrap();
        let kept: i32 = db
            .value("SELECT value::integer FROM vulkan.checkpoints")
            .await;
        assert_eq!(kept, 2);
    }
}

/// A payload, and the checkpoint found with it.
type Sight = (i64, Option<String>);

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Sight>>>);

#[handler(
    stream = "orders",
    group = "batched",
    batch = 10,
    backoff = "10ms..20ms"
)]
async fn in_batches(messages: Vec<Received<i64>>, seen: State<Seen>) -> Result {
    for message in &messages {
        let found: Option<String> = message.delivery().checkpoint().await?;
        seen.0.0.lock().unwrap().push((**message, found.clone()));
        match (**message, found) {
            (0, None) => message.fail(HandlerError::retry("own").with_checkpoint("own")?),
            (1, None) => message.delivery().save_checkpoint("saved").await?,
            _ => {}
        }
    }
    if messages.len() > 1 {
        return Err(HandlerError::retry("all").with_checkpoint("all")?);
    }
    Ok(())
}

#[tokio::test]
async fn messages_of_a_batch_have_one_each() {
    let db = TestDb::new().await;
    let seen = Seen::default();
    let mut tx = db.pool.begin().await.unwrap();
    for n in 0..3 {
        let publish = Publish::new("n").payload(serde_json::json!(n));
        publish.send(&mut *tx).await;
    }
    tx.commit().await.unwrap();
    let worker = db.worker().await.state(seen.clone()).register(in_batches);
    let running = Running::start(worker);
    db.until_done("batched", 3).await;
    running.stop().await.unwrap();
    let mut seen = seen.0.lock().unwrap().clone();
    seen[3..].sort();
    let text = |text: &str| Some(text.to_owned());
    let expected = [
        (0, None),
        (1, None),
        (2, None),
        (0, text("own")),
        (1, text("all")),
        (2, text("all")),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_cannot_be_saved_or_read_says_why() {
    let db = TestDb::new().await;
    let handler = on(options("large").retries(0), |cx| {
        Box::pin(async move {
            match cx.kind() {
                "large" => cx.save_checkpoint(&"x".repeat(1 << 20)).await?,
                _ => {
                    cx.save_checkpoint("a text").await?;
                    let _: Option<u32> = cx.checkpoint().await?;
                }
            }
            Ok(())
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    for (kind, says) in [("large", "more than 1048576"), ("other", "is no `u32`")] {
        let offset = Publish::new(kind).send(&db.pool).await;
        // A checkpoint of another type is no reason to give up: with retries left it would be tried again.
        db.until_is("large", offset, "dead", 1).await;
        let error = db.stand("large", offset).await.last_error.unwrap();
        assert!(error.contains(says), "{error}");
    }
    running.stop().await.unwrap();

    let delivery = Delivery::builder_json(&0)
        .unwrap()
        .checkpoint("text")
        .unwrap()
        .build();
    let error = HandlerError::from(delivery.checkpoint::<u32>().await.unwrap_err());
    assert_eq!(
        error.disposition(),
        vulkan::Disposition::Retry { after: None }
    );
}
