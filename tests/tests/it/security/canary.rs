use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::TryStreamExt;
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tracing_subscriber::fmt::MakeWriter;
use vulkan::{Client, Delivery, Error, Message, Received, Schedule, Worker, WorkerEvent, handler};

use super::support::Roles;
use crate::worker::support::{Running, until};

/// In the places where secrets are: none of these may be anywhere else.
const SECRETS: [&str; 5] = [
    "canary-password",
    "canary-payload",
    "canary-key",
    "canary-header",
    "canary-error",
];

/// All that was written, logged or told.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn note(&self, what: &impl Debug) {
        let mut text = String::new();
        writeln!(text, "{what:?} {what:#?}").unwrap();
        self.0.lock().unwrap().extend(text.into_bytes());
    }

    /// An error as a log has it that holds nothing back.
    fn error(&self, error: &(dyn std::error::Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.note(&format!("{error} {error:?}"));
            next = error.source();
        }
    }

    fn failed<T: Debug>(&self, answer: Result<T, Error>) {
        self.error(&answer.unwrap_err());
    }
}

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Said {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn order(kind: &str) -> Message {
    Message::new("orders", kind, &json!({"card": "canary-payload"}))
        .unwrap()
        .key("canary-key")
        .header("authorization", "canary-header")
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "it does not fit")]
struct Unlike {
    card: u64,
}

#[handler(
    stream = "orders",
    group = "fails",
    retries = 1,
    backoff = "10ms..10ms"
)]
async fn fail(_: serde_json::Value, cx: &Delivery) -> vulkan::Result {
    match cx.kind() {
        "order.panic" => panic!("canary-error"),
        _ => Err("canary-error".into()),
    }
}

#[handler(stream = "orders", group = "decodes", retries = 1)]
async fn decode(_: Unlike) {}

#[handler(stream = "orders", group = "batches", batch = 5, retries = 0)]
async fn fail_all(orders: Vec<Received<serde_json::Value>>) {
    for order in orders {
        order.fail("canary-error");
    }
}

/// Whatever is published and however it ends: nothing of it is in a log line of any level, in what listeners hear, in an error or in
/// what `Debug` shows. The errors of handlers go through `redact()`, which is what it is for.
#[tokio::test]
async fn no_secret_is_anywhere_else() {
    let mut roles = Roles::new().await;
    roles.login(&["publisher", "worker", "operator"]).await;
    let name = roles.newest().to_owned();
    roles
        .made(format!("ALTER ROLE {name} PASSWORD 'canary-password'"))
        .await;

    let said = Said::default();
    // Of this thread, on which everything of this test runs: each target, each level.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(said.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);

    let options: PgConnectOptions = roles.url().parse().unwrap();
    let options = options.username(&name).password("canary-password");
    // sqlx tells of each statement, and again of each that is slow, which all of them are here: what we put into the text of one is told.
    let options = options
        .log_statements("debug".parse().unwrap())
        .log_slow_statements("warn".parse().unwrap(), Duration::ZERO);
    let pool = PgPoolOptions::new().connect_lazy_with(options.clone());
    let client = Client::new(pool);
    said.note(&client);

    // What works.
    let offset = client.publish(order("order.placed")).await.unwrap();
    let once = client
        .publish_once(order("order.placed").dedup_id("d"))
        .await;
    said.note(&once.unwrap());
    client.publish(order("order.panic")).await.unwrap();
    client
        .publish_many([order("order.placed"), order("order.placed")])
        .await
        .unwrap();
    let merged = client.publisher();
    merged.publish(order("order.placed")).await.unwrap();
    said.note(&merged);
    merged.close().await;
    let mut loader = client.loader("orders").await.unwrap();
    loader.push(order("order.loaded")).await.unwrap();
    said.note(&loader);
    loader.finish().await.unwrap();
    let schedule = Schedule::every("s", Duration::from_secs(3600)).event(order("order.tick"));
    said.note(&schedule);
    client.put_schedule(&schedule).await.unwrap();
    said.note(&order("order.placed"));

    // What does not.
    let nowhere = Message::new("nowhere", "n", &"canary-payload").unwrap();
    said.failed(client.publish(nowhere.clone().key("canary-key")).await);
    said.failed(client.publish_many([nowhere]).await);
    said.failed(client.publish(order("a..b")).await);
    said.failed(
        client
            .publish(order("n").header("x", "canary-header\0"))
            .await,
    );
    said.failed(client.publish(order("n").key("canary-key\0")).await);
    said.failed(
        client
            .publish(order("n").key("canary-key".repeat(200)))
            .await,
    );
    said.failed(
        client
            .publish(order("n").header("x", "canary-header".repeat(2000)))
            .await,
    );
    let raw = |json: String| {
        let json = serde_json::value::RawValue::from_string(json).unwrap();
        Message::new("orders", "n", &json).unwrap()
    };
    let surrogate = r#"["canary-payload", "\ud800"]"#.to_owned();
    said.failed(client.publish(raw(surrogate.clone())).await);
    said.failed(client.load([raw(surrogate)]).await);
    said.failed(
        client
            .publish(raw(r#"["canary-payload", 1e400000]"#.into()))
            .await,
    );
    let deep = format!("{}\"canary-payload\"{}", "[".repeat(200), "]".repeat(200));
    said.failed(client.publish(raw(deep)).await);
    let large = Message::new("orders", "n", &"canary-payload".repeat(200_000)).unwrap();
    said.failed(client.publish(large).await);
    let bad = Schedule::cron("s", "canary").event(order("a..b"));
    said.failed(client.put_schedule(&bad).await);

    // What comes back.
    let reader = client
        .reader("orders", "reads", vulkan::Start::Earliest)
        .await
        .unwrap();
    let read = reader.events().try_next().await.unwrap().unwrap();
    assert_eq!((read.offset(), read.key()), (offset, Some("canary-key")));
    said.note(&read);
    let id = roles.group("by-hand").await.id;
    let claimed = client.claim(id, "w", 10, 10, true).await.unwrap();
    assert!(!claimed.is_empty());
    for claimed in claimed {
        assert_eq!(claimed.partition_key.as_deref(), Some("canary-key"));
        said.note(&claimed);
    }

    // Handlers that fail in every way.
    let heard = said.clone();
    let dead = said.clone();
    let worker = Worker::builder(client.clone())
        .poll(Duration::from_millis(50))
        .register(fail)
        .register(decode)
        .register(fail_all)
        .redact(|text| text.replace("canary-error", "****").into())
        .on_event(move |event: &WorkerEvent<'_>| heard.note(event));
    said.note(&worker);
    let running = Running::start(worker);
    for group in ["fails", "decodes", "batches"] {
        until(&format!("all of {group} to be dead"), async || {
            roles.count(group, "dead").await == 7
        })
        .await;
    }
    running.stop().await.unwrap();
    let errors: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT last_error FROM vulkan.deliveries WHERE last_error IS NOT NULL ORDER BY 1",
    )
    .fetch_all(&roles.pool)
    .await
    .unwrap();
    dead.note(&errors);
    assert!(
        errors.iter().any(|error| error.contains("expected u64")),
        "{errors:?}"
    );

    // And when the database is not what it should be.
    let wrong = options.password("canary-password-that-is-none").port(1);
    let wrong = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(200))
        .connect_lazy_with(wrong);
    said.failed(Client::new(wrong).publish(order("n")).await);

    drop(guard);
    let text = said.text();
    // It was listened to.
    for heard in [
        "the message is dead",
        "cannot decode",
        "****",
        "slow statement",
        "vulkan.publish(",
        "vulkan.settle(",
    ] {
        assert!(text.contains(heard), "nothing was heard of {heard}");
    }
    for secret in SECRETS {
        if let Some(at) = text.find(secret) {
            let begin = text.floor_char_boundary(at.saturating_sub(600));
            let end = text.ceil_char_boundary(at + 100);
            panic!("{secret} in:\n{}", &text[begin..end]);
        }
    }
    client.pool().close().await;
    roles.end().await;
}
