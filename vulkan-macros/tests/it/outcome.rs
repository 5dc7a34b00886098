//! What a handler returns, as the worker sees it.

use std::time::Duration;

use vulkan::{Delivery, Disposition, HandlerError, Result, ResultExt, handler};

use crate::registry::erase;

#[derive(Debug, serde::Deserialize)]
struct Order {
    items: Vec<Item>,
}

#[derive(Debug, serde::Deserialize)]
struct Item {
    price: u64,
}

fn delivery(payload: &str) -> Delivery {
    Delivery::builder(serde_json::from_str(payload).unwrap()).build()
}

#[handler(stream = "orders", group = "sum")]
async fn sum(order: Order) {
    assert!(order.items.iter().all(|item| item.price > 0));
}

#[tokio::test]
async fn an_undecodable_payload_is_dead_and_names_the_field() {
    let delivery = delivery(r#"{"items":[{"price":1},{"price":2},{"price":"free"}]}"#);
    let error = erase(sum).call(&delivery, &()).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Dead);
    let message = error.message();
    let expected = "::Order` at items[2].price: invalid type: string, expected u64";
    assert!(message.contains(expected), "{message}");
    assert!(
        !message.contains("free"),
        "what is in it is nobody's: {message}"
    );
}

#[tokio::test]
async fn nothing_is_success() {
    erase(sum)
        .call(&delivery(r#"{"items":[]}"#), &())
        .await
        .unwrap();
}

#[handler(stream = "orders", group = "outcome")]
async fn outcome(wish: String) -> Result {
    match wish.as_str() {
        "retry" => Err(std::io::Error::other("bank is closed"))?,
        "retry in" => Err("busy").retry_in(Duration::from_secs(9)),
        "snooze" => Err(HandlerError::snooze(Duration::from_secs(60))),
        "dead" => Err(HandlerError::dead("no such customer")),
        "none" => None.dead(),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn dispositions() {
    let after = |secs| Some(Duration::from_secs(secs));
    let snooze = Disposition::Snooze {
        after: Duration::from_secs(60),
    };
    let table = [
        (
            "retry",
            Disposition::Retry { after: None },
            "bank is closed",
        ),
        ("retry in", Disposition::Retry { after: after(9) }, "busy"),
        ("snooze", snooze, "snoozed for 60s"),
        ("dead", Disposition::Dead, "no such customer"),
        ("none", Disposition::Dead, "a value is missing at "),
    ];
    for (wish, disposition, message) in table {
        let delivery = Delivery::builder_json(wish).unwrap().build();
        let error = erase(outcome).call(&delivery, &()).await.unwrap_err();
        assert_eq!(error.disposition(), disposition, "{wish}");
        assert!(error.message().starts_with(message), "{error}");
    }
}

#[derive(Debug)]
struct Refused;

impl From<Refused> for HandlerError {
    fn from(Refused: Refused) -> Self {
        Self::dead("refused")
    }
}

#[handler(stream = "orders", group = "own-error")]
async fn own_error(_order: u64) -> std::result::Result<(), Refused> {
    Err(Refused)
}

#[tokio::test]
async fn an_error_of_ones_own_says_what_it_means() {
    let delivery = delivery("1");
    assert!(own_error(1).await.is_err());
    let error = erase(own_error).call(&delivery, &()).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Dead);
    assert_eq!(error.message(), "refused");
}

#[tokio::test]
async fn an_event_becomes_its_delivery() {
    #[derive(serde::Serialize, vulkan::Event)]
    #[event(stream = "orders", kind = "order.paid")]
    struct Paid(#[event(key)] u64, &'static str);

    let delivery = Delivery::of(&Paid(7, "EUR")).unwrap().group("sum").build();
    assert_eq!(delivery.stream(), "orders");
    assert_eq!(delivery.kind(), "order.paid");
    assert_eq!(delivery.key(), Some("7"));
    assert_eq!(delivery.decode::<(u64, &str)>().unwrap(), (7, "EUR"));
}

#[tokio::test]
async fn cancellation_reaches_the_handler() {
    #[handler(stream = "orders", group = "patient")]
    async fn patient(_order: u64, cx: &Delivery) -> Result {
        cx.cancelled().await;
        Err(HandlerError::retry("shutting down"))
    }

    let delivery = delivery("1");
    delivery.cancellation_token().cancel();
    let error = erase(patient).call(&delivery, &()).await.unwrap_err();
    assert_eq!(error.message(), "shutting down");
}
