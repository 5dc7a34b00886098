use std::sync::{Arc, Mutex};

use serde_json::json;
use vulkan::{Delivery, HandlerError, Received, WorkerEvent, handler};

use super::support::Running;
use crate::support::{Publish, TestDb};

const CARD: &str = "4242424242424242";

#[derive(Debug, thiserror::Error)]
#[error("the bank said no")]
struct Refused(#[source] std::io::Error);

#[handler(stream = "orders", group = "cards", retries = 0)]
async fn charge(_: u64, cx: &Delivery) -> vulkan::Result {
    match cx.kind() {
        "source" => Err(Refused(std::io::Error::other(format!("card {CARD}"))).into()),
        "panic" => panic!("card {CARD}"),
        _ => Err(HandlerError::dead(format!("card {CARD}"))),
    }
}

#[handler(stream = "orders", group = "batches", retries = 0, batch = 1)]
async fn charge_all(cards: Vec<Received<u64>>) -> vulkan::Result {
    for card in cards {
        card.fail(format!("card {CARD}"));
    }
    Ok(())
}

/// Neither the database nor those who listen hear of it, whatever way the secret came into the error.
#[tokio::test]
async fn no_error_gives_away_what_is_redacted() {
    let db = TestDb::new().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let worker = db
        .worker()
        .await
        .register(charge)
        .register(charge_all)
        .redact(|text| text.replace(CARD, "****").into())
        .on_event(move |event| {
            if let WorkerEvent::Failed { error, .. } | WorkerEvent::Dead { error, .. } = event {
                told.lock().unwrap().push((*error).to_owned());
            }
        });
    let running = Running::start(worker);
    let mut offsets = Vec::new();
    for kind in ["source", "panic", "dead"] {
        offsets.push(Publish::new(kind).payload(json!(1)).send(&db.pool).await);
    }
    for (group, offset) in offsets
        .iter()
        .flat_map(|o| [("cards", *o), ("batches", *o)])
    {
        let stand = db
            .until_stands(group, offset, "dead", |stand| stand.status == "dead")
            .await;
        let error = stand.last_error.unwrap();
        assert!(error.contains("****") && !error.contains(CARD), "{error}");
    }
    running.stop().await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 12, "{heard:?}");
    assert!(heard.iter().all(|error| !error.contains(CARD)), "{heard:?}");
}
