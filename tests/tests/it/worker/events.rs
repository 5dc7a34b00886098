use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::json;
use vulkan::{DryRun, HandlerError, WorkerBuilder, WorkerEvent};

use super::support::{Gate, Running, on, options, until, waits_at};
use crate::support::{Publish, TestDb};

/// What was told, a line each.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, begin: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(begin)).count()
    }

    async fn until(&self, begin: &str) {
        until(begin, || async { self.count(begin) > 0 }).await;
    }

    /// Listens to everything but what comes whenever it likes.
    fn to(&self, builder: WorkerBuilder<()>) -> WorkerBuilder<()> {
        let heard = self.0.clone();
        builder.on_event(move |event| {
            if let Some(line) = line(event) {
                heard.lock().unwrap().push(line);
            }
        })
    }
}

fn line(event: &WorkerEvent<'_>) -> Option<String> {
    use WorkerEvent as E;
    Some(match *event {
        E::Started { groups, .. } => format!("started {groups}"),
        E::Stopping { .. } => "stopping".into(),
        E::Stopped {
            cut_off, unsettled, ..
        } => format!("stopped {cut_off} {unsettled}"),
        E::Claimed {
            stream,
            group,
            messages,
            ..
        } => format!("claimed {stream} {group} {messages}"),
        E::Begun { attempt: of, .. } => format!("begun {} {}/{}", of.kind, of.number, of.max),
        E::Succeeded { attempt: of, .. } => format!("succeeded {} {}", of.kind, of.number),
        E::Failed {
            attempt: of,
            error,
            after,
            last,
            ..
        } => format!("failed {} {} {error} {after:?} {last}", of.kind, of.number),
        E::Dead {
            attempt: of, error, ..
        } => format!(
            "dead {} {} {} {} {error}",
            of.group, of.handler, of.kind, of.number
        ),
        E::Snoozed {
            attempt: of, after, ..
        } => format!("snoozed {} {after:?}", of.kind),
        E::Interrupted {
            attempt: of, why, ..
        } => format!("interrupted {} {why:?}", of.kind),
        E::CancellationIgnored {
            attempt: of, why, ..
        } => format!("ignored {} {why:?}", of.kind),
        E::NoHandler { attempt: of, .. } => format!("no handler {}", of.kind),
        E::Settled { group, .. } => format!("settled {group}"),
        E::Released { messages, .. } => format!("released {messages}"),
        E::Stale { settlements, .. } => format!("stale {settlements}"),
        E::LeaseLost { offset, .. } => format!("lease lost {offset}"),
        E::CutOff { messages, .. } => format!("cut off {messages}"),
        E::LeftBehind { messages, .. } => format!("left behind {messages}"),
        E::Trouble { call, .. } => format!("trouble {call:?}"),
        // Any worker reaps, at any time.
        _ => return None,
    })
}

#[tokio::test]
async fn every_step_of_a_message_is_told() {
    let db = TestDb::new().await;
    let heard = Heard::default();
    let handler = on(options("told").retries(1), |delivery| {
        let (kind, attempt) = (delivery.kind().to_owned(), delivery.attempt());
        Box::pin(async move {
            match (&*kind, attempt) {
                ("twice", 1) => Err("no luck".into()),
                ("never", _) => Err(format!("no luck at {attempt}").into()),
                ("given-up", _) => Err(HandlerError::dead("hopeless")),
                ("early", _) => Err(HandlerError::snooze(Duration::from_secs(3600))),
                _ => Ok(()),
            }
        })
    });
    let running = Running::start(heard.to(db.worker().await).register(handler));
    for (kind, last) in [
        ("once", "succeeded once 1"),
        ("twice", "succeeded twice 2"),
        ("never", "dead told told never 2 no luck at 2"),
        ("given-up", "dead told told given-up 1 hopeless"),
        ("early", "snoozed early 3600s"),
    ] {
        Publish::new(kind).send(&db.pool).await;
        heard.until(last).await;
    }
    running.stop().await.unwrap();

    let lines = heard.lines();
    let of = |kind: &str| -> Vec<&str> {
        let lines = lines.iter().map(String::as_str);
        lines.filter(|line| line.contains(kind)).collect()
    };
    assert_eq!(of(" once "), ["begun once 1/2", "succeeded once 1"]);
    let [first, failed, second, done] = of(" twice ")[..] else {
        panic!("{lines:#?}");
    };
    assert_eq!(
        (first, second, done),
        ("begun twice 1/2", "begun twice 2/2", "succeeded twice 2")
    );
    // The only handler of its group: its backoff is the group's.
    assert_eq!(failed, "failed twice 1 no luck None false");
    assert!(of(" never ")[3].ends_with("true"), "{lines:#?}");
    assert_eq!(of(" never ").len(), 5, "{lines:#?}");
    assert_eq!(
        of(" given-up "),
        [
            "begun given-up 1/2",
            "failed given-up 1 hopeless None true",
            "dead told told given-up 1 hopeless"
        ]
    );
    assert_eq!(of(" early "), ["begun early 1/2", "snoozed early 3600s"]);
    assert_eq!(lines[0], "started 1");
    assert_eq!(lines.last().unwrap(), "stopped 0 0");
    assert_eq!(heard.count("claimed orders told 1"), 7);
    assert!(heard.count("settled told") > 0);
}

/// Without retries of its own a handler leaves it to the group, which the database decides.
#[tokio::test]
async fn who_is_dead_by_the_groups_rule_is_told_by_name() {
    let db = TestDb::new().await;
    let heard = Heard::default();
    let keyed = on(options("rule").name("judge"), |_| {
        Box::pin(async { Err("no".into()) })
    });
    let running = Running::start(heard.to(db.worker().await).register(keyed));
    heard.until("started").await;
    // Behind the worker's back.
    db.run("UPDATE vulkan.groups SET max_attempts = 2").await;
    for event in [Publish::new("plain"), Publish::new("keyed").key("k")] {
        event.send(&db.pool).await;
    }
    heard.until("dead rule judge plain 2 no").await;
    heard.until("dead rule judge keyed 2 no").await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_lease_and_a_handler_that_pays_no_heed_are_told() {
    let db = TestDb::new().await;
    let heard = Heard::default();
    let (gate, mut came) = Gate::new();
    let handler = waits_at(&gate, options("deaf").lease(Duration::from_millis(300)));
    let running = Running::start(heard.to(db.worker().await).register(handler));
    let offset = Publish::new("slow").send(&db.pool).await;
    assert_eq!(came.next().await, offset);
    until("the message to have a row of its own", || async {
        db.value::<bool>(
            "SELECT EXISTS (SELECT FROM vulkan.exceptions WHERE status = 'processing')",
        )
        .await
    })
    .await;
    db.lose_leases().await;
    heard.until("lease lost 1").await;
    heard.until("ignored slow LeaseLost").await;
    heard.until("interrupted slow LeaseLost").await;
    // It comes again, and is cut off with the worker.
    assert_eq!(came.next().await, offset);
    running.shutdown().stop_now();
    heard.until("stopped 1 0").await;
    assert_eq!(heard.count("cut off 1"), 1);
    assert_eq!(heard.count("interrupted slow Shutdown"), 1);
    assert_eq!(heard.count("released 1"), 1);
}

#[tokio::test]
async fn trouble_with_the_database_is_told() {
    let db = TestDb::new().await;
    let heard = Heard::default();
    let handler = on(options("away"), |_| Box::pin(async { Ok(()) }));
    let running = Running::start(heard.to(db.worker().await).register(handler));
    heard.until("started").await;
    db.run("ALTER FUNCTION vulkan.claim RENAME TO claim_away; ALTER FUNCTION vulkan.reap RENAME TO reap_away")
        .await;
    Publish::new("a").send(&db.pool).await;
    heard.until("trouble Claim").await;
    heard.until("trouble Reap").await;
    db.run("ALTER FUNCTION vulkan.claim_away RENAME TO claim")
        .await;
    heard.until("succeeded a 1").await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_kind_that_nobody_takes_is_told() {
    let db = TestDb::new().await;
    let heard = Heard::default();
    let handler = on(options("picky").kinds(["a"]), |_| {
        Box::pin(async { Ok(()) })
    });
    let running = Running::start(heard.to(db.worker().await).register(handler));
    heard.until("started").await;
    db.run(
        "UPDATE vulkan.groups SET max_attempts = 1; SELECT vulkan.set_binding('orders', 'picky', '[{\"kind\": \">\"}]')",
    )
    .await;
    Publish::new("b").send(&db.pool).await;
    heard.until("no handler b").await;
    heard
        .until("dead picky  b 1 no handler for kind \"b\"")
        .await;
    running.stop().await.unwrap();
}

/// What all workers of this process log. One for all tests: a subscriber of a single thread would miss
/// what other threads had found nobody to listen to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn get() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_env_filter("vulkan_worker=trace,vulkan_core=trace")
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            log
        })
    }

    /// The lines that speak of something.
    fn of(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_listener_that_panics_is_told_of_once_and_stops_nothing() {
    let log = Log::get();
    let db = TestDb::new().await;
    let heard = Heard::default();
    let handler = on(options("panic"), |_| Box::pin(async { Ok(()) }));
    let builder = db.worker().await.on_event(|event| {
        if matches!(
            event,
            WorkerEvent::Begun { .. } | WorkerEvent::Settled { .. }
        ) {
            panic!("a listener at its end");
        }
    });
    let running = Running::start(heard.to(builder).register(handler));
    for _ in 0..3 {
        Publish::new("a").send(&db.pool).await;
    }
    db.until_done("panic", 3).await;
    running.stop().await.unwrap();
    // Whoever was added after it still hears.
    assert_eq!(heard.count("begun"), 3);
    let reports = log.of("a listener to the worker's events panicked");
    assert_eq!(reports.len(), 1, "{reports:#?}");
}

#[tokio::test]
async fn the_log_tells_what_fails_and_gives_away_no_payload_and_no_key() {
    let log = Log::get();
    let db = TestDb::new().await;
    let handler = on(options("logged").retries(1).name("clerk"), |delivery| {
        let fails = delivery.kind() == "fails";
        Box::pin(async move { if fails { Err("no luck".into()) } else { Ok(()) } })
    });
    let running = Running::start(db.worker().await.name("clerks").register(handler));
    let event = |kind| {
        Publish::new(kind)
            .payload(json!({"card": "canary-payload"}))
            .headers(json!({"authorization": "canary-header"}))
            .key("canary-key")
    };
    event("works").send(&db.pool).await;
    event("fails").send(&db.pool).await;
    db.until_is("logged", 2, "dead", 2).await;
    running.stop().await.unwrap();

    let lines = log.of("logged");
    let with = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(with("the attempt failed"), 1, "{lines:#?}");
    assert_eq!(with("the message is dead"), 1, "{lines:#?}");
    let fields = r#"handler="clerk" offset=2 kind="fails" attempt=2"#;
    assert_eq!(with(fields), 1, "{lines:#?}");
    assert_eq!(with("works"), 0, "{lines:#?}");
    let stopped = log.of("the worker has stopped");
    assert!(
        stopped.iter().any(|line| line.contains("clerks")),
        "{stopped:#?}"
    );
    assert!(log.of("canary").is_empty());
}

#[tokio::test]
async fn what_is_cancelled_in_work_has_failed_and_is_dead() {
    let db = TestDb::new().await;
    let heard = Heard::default();
    let handler = on(options("cancelled"), |delivery| {
        Box::pin(async move {
            match delivery.kind() {
                "heeds" => delivery.cancelled().await,
                _ => std::future::pending().await,
            }
            Err("half way".into())
        })
    });
    let builder = db.worker().await.notice(Duration::from_millis(100));
    let running = Running::start(heard.to(builder).register(handler));
    let client = db.client().await;
    for kind in ["heeds", "does-not"] {
        let offset = Publish::new(kind).send(&db.pool).await;
        heard.until(&format!("begun {kind}")).await;
        client
            .cancel("orders", "cancelled", offset, None, DryRun::No)
            .await
            .unwrap();
        heard
            .until(&format!("dead cancelled cancelled {kind} 1"))
            .await;
    }
    running.stop().await.unwrap();
    let failed = |line: &&String| line.starts_with("failed");
    let lines = heard.lines();
    assert_eq!(
        lines.iter().filter(failed).collect::<Vec<_>>(),
        [
            "failed heeds 1 half way None false",
            "failed does-not 1 it did not end when it was told to None false",
        ]
    );
    assert_eq!(heard.count("ignored"), 1);
    assert_eq!(heard.count("ignored does-not Cancelled"), 1);
    assert_eq!(heard.count("interrupted"), 0);
}
