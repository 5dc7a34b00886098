use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use vulkan::{Backoff, Error, HandlerError, Queue, RunError, Shutdown};

use super::support::Running;
use crate::support::{Publish, TestDb, within};

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Email {
    to: String,
}

static EMAILS: Queue<Email> = Queue::new("emails");

fn email(to: &str) -> Email {
    Email { to: to.into() }
}

/// Ends a worker that runs in a task when dropped.
struct Stop(Shutdown);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_enqueued_in_any_way_is_worked_off() {
    let db = TestDb::new().await;
    let client = db.client().await;
    // Before there is a stream.
    EMAILS.enqueue(&client, &email("first")).await.unwrap();
    EMAILS
        .enqueue_many(&client, &[email("many 1"), email("many 2")])
        .await
        .unwrap();
    let once = async || {
        EMAILS
            .enqueue_with(&client, &email("once"), |job| job.dedup_id("once").key("k"))
            .await
            .unwrap()
    };
    assert_eq!(once().await, once().await);
    EMAILS
        .enqueue_with(&client, &email("later"), |job| {
            job.delay(Duration::from_secs(3_600))
        })
        .await
        .unwrap();
    for (to, commits) in [("gone", false), ("kept", true)] {
        let mut tx = client.begin().await.unwrap();
        EMAILS
            .enqueue_in(&client, &mut *tx, &email(to))
            .await
            .unwrap();
        if commits {
            tx.commit().await.unwrap();
        }
    }
    client
        .publisher()
        .publish(EMAILS.message(&email("merged")).unwrap())
        .await
        .unwrap();

    let (tell, mut told) = mpsc::unbounded_channel();
    let shutdown = Shutdown::new();
    let worker = EMAILS.work_with(client.clone(), tell, |email: Email, tell| async move {
        let _ = tell.send(email.to);
    });
    let _stop = Stop(shutdown.clone());
    let running = tokio::spawn(worker.concurrency(4).run(shutdown.clone()));
    let mut got = Vec::new();
    for _ in 0..6 {
        got.push(within("a job", told.recv()).await.unwrap());
    }
    got.sort();
    assert_eq!(got, ["first", "kept", "many 1", "many 2", "merged", "once"]);
    db.until_done("emails", 6).await;
    shutdown.stop();
    within("the worker", running).await.unwrap().unwrap();
    assert_eq!(db.count("emails", "ready").await, 1);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_not_there_is_made_but_in_a_transaction() {
    let db = TestDb::new().await;
    let client = db.client().await;
    for _ in 0..2 {
        let mut tx = client.begin().await.unwrap();
        let error = EMAILS
            .enqueue_in(&client, &mut *tx, &email("a"))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::UnknownStream(_)), "{error:?}");
    }
    EMAILS.create(&client).await.unwrap();
    EMAILS.create(&client).await.unwrap();
    let mut tx = client.begin().await.unwrap();
    EMAILS
        .enqueue_in(&client, &mut *tx, &email("a"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let events: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
    assert_eq!(events, 1);

    let bad = Queue::<Email>::new("Bad Name");
    let error = bad.enqueue(&client, &email("a")).await.unwrap_err();
    assert!(matches!(error, Error::Name(_)), "{error:?}");
    let worker = bad.work(client, async |_| ());
    let error = worker.run(Shutdown::new()).await.unwrap_err();
    assert!(matches!(error, RunError::Build(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_tried_again_as_asked() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let fails = EMAILS.enqueue(&client, &email("fails")).await.unwrap();
    let recovers = EMAILS.enqueue(&client, &email("recovers")).await.unwrap();
    // Not an email, and so dead at once.
    let odd = Publish::new("job").to("emails").send(&db.pool).await;
    let calls = Arc::new(AtomicU32::new(0));
    let shutdown = Shutdown::new();
    let _stop = Stop(shutdown.clone());
    let soon = Duration::from_millis(10);
    let worker = EMAILS
        .work(client, {
            let calls = Arc::clone(&calls);
            move |email: Email| {
                let calls = Arc::clone(&calls);
                async move {
                    if email.to == "fails" || calls.fetch_add(1, Ordering::SeqCst) == 0 {
                        return Err(HandlerError::from("not yet"));
                    }
                    Ok(())
                }
            }
        })
        .retries(2)
        .backoff(Backoff::new(soon, soon));
    let running = tokio::spawn(worker.run(shutdown.clone()));
    db.until_is("emails", fails, "dead", 3).await;
    db.until_is("emails", recovers, "done", 2).await;
    db.until_is("emails", odd, "dead", 1).await;
    shutdown.stop();
    within("the worker", running).await.unwrap().unwrap();
}

/// Beside other handlers, in a worker like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_served_beside_others() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let numbers = Queue::<u32>::new("numbers");
    let one = EMAILS.enqueue(&client, &email("a")).await.unwrap();
    let two = numbers.enqueue(&client, &7).await.unwrap();
    let worker = db
        .worker()
        .await
        .state(7_u32)
        .register(EMAILS.handler(async |_| ()))
        .register(
            numbers.handler_with_state(async |number: u32, state: u32| assert_eq!(number, state)),
        );
    let running = Running::start(worker);
    db.until_is("emails", one, "done", 1).await;
    db.until_is("numbers", two, "done", 1).await;
    running.stop().await.unwrap();
}
