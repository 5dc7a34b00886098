use std::time::Duration;

use vulkan::{HandlerOptions, Mistake, Overrides};

use super::support::{Gate, Running, on, options};
use crate::support::{Publish, TestDb};

#[tokio::test]
async fn options_are_changed_without_a_rebuild() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let written = HandlerOptions::new("orders", "screening")
        .name("screen")
        .retries(0);
    let handler = on(written, move |cx| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass(cx.offset()).await;
            Err("no".into())
        })
    });
    let file: Overrides = serde_json::from_str(
        r#"{"screen": {"retries": 9, "backoff": "77s..80s", "kinds": ["wanted"], "lease": "45s"}}"#,
    )
    .unwrap();
    let env = Overrides::from_vars([
        ("VULKAN_HANDLER_SCREEN_RETRIES", "3"),
        ("VULKAN_HANDLER_SCREEN_CONCURRENCY", "1"),
    ]);
    let worker = db.worker().await.register(handler);
    let running = Running::start(worker.overrides(file).overrides(env));
    let first = Publish::new("wanted").send(&db.pool).await;
    let second = Publish::new("wanted").send(&db.pool).await;
    Publish::new("unwanted").send(&db.pool).await;
    assert_eq!(came.next().await, first);
    came.let_all_go();
    assert_eq!(came.next().await, second);
    let stand = db
        .until_stands("screening", second, "put off", |stand| stand.is("ready", 1))
        .await;
    assert!((69.0..85.0).contains(&stand.delay.unwrap()), "{stand:?}");
    running.stop().await.unwrap();
    assert!(came.nothing_else());
    let group: (i32, f64) =
        sqlx::query_as("SELECT max_attempts, extract(epoch FROM lease)::float8 FROM vulkan.groups")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    assert_eq!(group, (4, 45.0));
}

#[tokio::test]
async fn mistakes_are_told_with_all_others() {
    let db = TestDb::new().await;
    let handler = |name| on(options("fraud").name(name), |_| Box::pin(async { Ok(()) }));
    let error = db
        .worker()
        .await
        .poll(Duration::ZERO)
        .name("")
        .register(handler("screen"))
        .overrides(Overrides::new().set("screen", "batch", 5))
        .overrides(Overrides::new().set("sceen", "retries", 5))
        .overrides(Overrides::new().set("screen", "retires", 5))
        .overrides(Overrides::new().set("screen", "retries", "many"))
        .overrides(Overrides::new().set("screen", "lease", "5ms"))
        .build()
        .unwrap_err();
    for text in [
        "poll is zero",
        "the name of the worker is empty",
        "handler \"screen\" takes one message at a time",
        "override sceen.retries names no handler, did you mean \"screen\"?",
        "override screen.retires names no option, did you mean \"retries\"?",
        "override screen.retries: it is no integer from 0 to 1000, as in retries = 5",
        "handler \"screen\": lease 5ms is shorter than 100ms",
    ] {
        assert!(
            error.to_string().contains(text),
            "{text} is not in: {error}"
        );
    }
    assert_eq!(error.mistakes().len(), 7, "{error}");
    assert!(error.mistakes().contains(&Mistake::NoPoll));
}

/// What an override makes of two handlers counts as what they were written with.
#[tokio::test]
async fn handlers_must_not_clash_after_it_either() {
    let db = TestDb::new().await;
    let handler = |name, kind| {
        let options = options("fraud").name(name).kinds([kind]);
        on(options, |_| Box::pin(async { Ok(()) }))
    };
    let worker = || async {
        db.worker()
            .await
            .register(handler("first", "a"))
            .register(handler("second", "b"))
    };
    assert!(worker().await.build().is_ok());
    let overrides = Overrides::new().set("second", "kinds", "a");
    let error = worker().await.overrides(overrides).build().unwrap_err();
    assert!(
        matches!(error.mistakes(), [Mistake::SameKind { .. }]),
        "{error}"
    );
}
