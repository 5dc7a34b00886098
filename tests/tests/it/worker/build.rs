use std::time::Duration;

use vulkan::{Mistake, RunError, Shutdown, Start};

use super::support::{on, options};
use crate::support::TestDb;

#[tokio::test]
async fn every_mistake_is_told_at_once() {
    let db = TestDb::new().await;
    let handler = |name: &'static str, options: vulkan::HandlerOptions| {
        on(options.name(name), |_| Box::pin(async { Ok(()) }))
    };
    let error = db
        .worker()
        .await
        .concurrency(0)
        .register(handler("first", options("Billing")))
        .register(handler(
            "second",
            options("fraud").kinds(["order.>"]).start(Start::Latest),
        ))
        .register(handler(
            "third",
            options("fraud").kinds(["order.>"]).start(Start::Earliest),
        ))
        .register(handler("fourth", options("audit").timeout(Duration::ZERO)))
        .build()
        .unwrap_err();

    let mistakes = error.mistakes();
    assert!(mistakes.contains(&Mistake::NoSlots), "{error}");
    for text in [
        "concurrency is zero",
        "handler \"first\": group name \"Billing\"",
        "handlers \"second\" and \"third\" of group \"fraud\" both take kind \"order.>\"",
        "handlers \"second\" and \"third\" of group \"fraud\" disagree on start",
        "handler \"fourth\": timeout is zero",
    ] {
        assert!(
            error.to_string().contains(text),
            "{text} is not in: {error}"
        );
    }
    assert_eq!(mistakes.len(), 5, "{error}");
}

#[tokio::test]
async fn nothing_registered_is_a_mistake() {
    let db = TestDb::new().await;
    let error = db.worker().await.run(Shutdown::new()).await.unwrap_err();
    assert!(matches!(&error, RunError::Build(error) if error.mistakes() == [Mistake::NoHandler]));
}

#[tokio::test]
async fn a_handler_registered_before_the_state_is_a_mistake() {
    let db = TestDb::new().await;
    let early = on(options("early").name("early"), |_| {
        Box::pin(async { Ok(()) })
    });
    let late = on(options("late"), |_| Box::pin(async { Ok(()) }));
    let error = db
        .worker()
        .await
        .register(early)
        .state(())
        .state(7)
        .register(late)
        .build();
    let mistake = Mistake::RegisteredBeforeState {
        handler: "early".into(),
    };
    assert_eq!(error.unwrap_err().mistakes(), [mistake]);
}

#[tokio::test]
async fn a_handler_that_would_never_be_called_is_a_mistake() {
    let db = TestDb::new().await;
    let handler = |options| on(options, |_| Box::pin(async { Ok(()) }));
    let error = db
        .worker()
        .await
        .register(handler(options("g").name("exact").kinds(["order.paid"])))
        .register(handler(options("g").name("orders").kinds(["order.>"])))
        // Some of what it takes is its own.
        .register(handler(options("g").name("placed").kinds(["*.placed"])))
        .register(handler(
            options("g").name("late").kinds(["order.*", "mail"]),
        ))
        .register(handler(options("other").name("all")))
        .register(handler(options("other").name("never").kinds(["a"])))
        .build()
        .unwrap_err();
    let mistakes: Vec<String> = error.mistakes().iter().map(ToString::to_string).collect();
    let never = |second, group, kind, first, by| {
        format!(
            "handler \"{second}\" of group \"{group}\" would never get kind \"{kind}\", since \"{first}\" takes \"{by}\" \
             before it; register the one with the narrower kinds first"
        )
    };
    assert_eq!(
        mistakes,
        [
            never("late", "g", "order.*", "orders", "order.>"),
            never("never", "other", "a", "all", ">"),
        ]
    );
}

#[tokio::test]
async fn a_database_without_the_schema_is_told_at_the_start() {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let client = vulkan::Client::connect(&database.url()).await.unwrap();
    let error = vulkan::Worker::builder(client)
        .register(on(options("any"), |_| Box::pin(async { Ok(()) })))
        .run(Shutdown::new())
        .await;
    assert!(
        matches!(error, Err(RunError::Start(vulkan::Error::NoSchema))),
        "{error:?}"
    );
}
